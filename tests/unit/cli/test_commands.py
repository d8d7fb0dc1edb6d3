"""Commands of a flow file: only the one that is given imports its module."""

from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_conda_flow.cli.commands import COMMANDS
from airflow_conda_flow.cli.parser import build_parser, parse
from airflow_conda_flow.flow.definition import read_flow

from ...parts.graphs.flows.switch import Switch

NAMES = [command.name for command in COMMANDS]


@pytest.fixture(scope="module")
def definition():
    """A flow's definition."""
    return read_flow(Switch)


@pytest.fixture(scope="module")
def whole(definition):
    """A parser with the options of all commands."""
    return build_parser(definition)


def help_of(parser, name: str, capsys) -> str:
    """The help of a command."""
    with pytest.raises(SystemExit):
        parse(parser, [name, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_a_given_command_has_its_options(definition, whole, name, capsys):
    """They are the same as if all commands had theirs."""
    words = [name, "--help"]
    assert help_of(build_parser(definition, words), name, capsys) == help_of(whole, name, capsys)


def test_the_help_of_the_file(definition, whole):
    """It lists every command, whichever is given."""
    assert build_parser(definition, []).format_help() == whole.format_help()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["rum"], "Did you mean run?"),
        (["--max-workers", "3", "rum"], "no such option: --max-workers."),
        (["--max-workers", "3", "run"], "Write it after run."),
    ],
)
def test_the_nearest_command_and_its_options(definition, whole, words, hint, capsys):
    """A message about a wrong word is the same, though other commands have no options."""
    said = []
    for parser in (build_parser(definition, words), whole):
        with pytest.raises(SystemExit):
            parse(parser, words)
        said.append(capsys.readouterr().err)
    assert said[0] == said[1]
    assert hint in said[0]


@pytest.mark.parametrize(
    ("command", "other"), [("show", "environments"), ("show", "local"), ("run", "cli.spin")]
)
def test_other_modules_are_not_imported(tmp_path, command, other):
    """They would be most of the time that a short command takes."""
    code = (
        "import sys\n"
        "from airflow_conda_flow import FlowSpec, step\n"
        "from airflow_conda_flow.cli.main import main\n"
        "class AFlow(FlowSpec):\n"
        "    @step(start=True, end=True)\n"
        "    def only(self): pass\n"
        "if __name__ == '__main__':\n"
        f"    assert main(AFlow, ['{command}']) == 0\n"
        f"    print([name for name in sys.modules if name.startswith('airflow_conda_flow.{other}')])\n"
    )
    (tmp_path / "a.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "a.py"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "USER": "tester"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["[]"], done
