"""Words of the command line that begin with a minus and are values, and those that are options."""

from __future__ import annotations

import pytest

from airflow_conda_flow import FlowSpec, Parameter, step
from airflow_conda_flow.cli.parser import build_parser, parse
from airflow_conda_flow.flow.definition import read_flow


class WordsFlow(FlowSpec):
    alpha = Parameter("alpha", type=float, default=0.5)
    text = Parameter("text", default="")
    several = Parameter("several", multiple=True, default=[])
    flag = Parameter("flag", type=bool, is_flag=True, default=False)

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


@pytest.fixture
def parsed():
    """A function: the parameters' words of a command line."""

    def parse_words(*words: str):
        arguments = parse(build_parser(read_flow(WordsFlow)), words)
        return {name.partition(":")[2]: value for name, value in vars(arguments).items() if ":" in name}

    return parse_words


@pytest.mark.parametrize(
    "value",
    ["-1", "-1e-3", "-.5", "-inf", "-1_000", "-1,2", "-x", "-1.5.2", "-a b", "-", "-é", "-/tmp", "-5-3"],
)
def test_a_value_that_begins_with_a_minus(parsed, value):
    """After the option of a parameter, wherever that is."""
    assert parsed("run", "--text", value)["text"] == value
    assert parsed("run", f"--text={value}")["text"] == value
    assert parsed("run", "--several", value, "--alpha", "1", "--several", value)["several"] == [value] * 2
    assert parsed("--quiet", "run", "--tag", value, "--text", value, "--flag")["text"] == value


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--text", "--alpha", "1"],
        ["run", "--text", "-h"],
        ["run", "--alpha"],
        ["run", "--text", "--txet", "-x"],
        ["run", "-x"],
    ],
)
def test_an_option_is_no_value(parsed, words):
    """A value that was forgotten is a usage error, or the option does what it says."""
    with pytest.raises(SystemExit):
        parsed(*words)


def test_a_value_that_is_named_as_a_command(parsed):
    """The command is the first word that is no value."""
    assert parsed("--datastore-root", "run", "run", "--text", "show")["text"] == "show"
