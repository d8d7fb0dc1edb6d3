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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--max-workers 3 run", "no such option: --max-workers. Write it after run."),
        (
            "--max-worker 3 run",
            "no such option: --max-worker. Did you mean --max-workers? Write it after run.",
        ),
        ("--max-workers=3 run", "no such option: --max-workers=3. Write it after run."),
        ("--quiet --alpha 3 run", "no such option: --alpha. Write it after run."),
        ("--upgrade six environment lock", "no such option: --upgrade. Write it after environment lock."),
        ("environment --upgrade six lock", "no such option: --upgrade. Write it after lock."),
        ("--check environment lock", "no such option: --check. Write it after environment lock."),
        ("environment --check lock", "no such option: --check. Write it after environment lock."),
        ("environment --cache-dir x lock", "no such option: --cache-dir. Write it after lock."),
        ("--datastor x run", "no such option: --datastor. Did you mean --datastore?"),
        ("--datastor=x run", "no such option: --datastor=x. Did you mean --datastore?"),
        ("--with retry --nothing x run", "no such option: --nothing."),
        ("--with retry --quiet rum", "no such command: rum. Did you mean run?"),
        ("--datastore=local rum", "no such command: rum. Did you mean run?"),
        ("run --max-wrokers 3", "no such option: --max-wrokers. Did you mean --max-workers?"),
    ],
)
def test_an_option_before_its_command(parsed, capsys, line, message):
    """The option is named, and not its value as a command; the place of one that exists is said."""
    with pytest.raises(SystemExit) as ended:
        parsed(*line.split())
    assert ended.value.code == 2
    assert f": {message}" in capsys.readouterr().err
