"""Files beside a flow that have the name of a library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ...parts.flow_machine import Machine

FLOW = """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        print("ended")
"""


@pytest.fixture
def machine(tmp_path) -> Machine:
    """A machine whose home holds the flow."""
    return Machine(tmp_path / "home")


@pytest.mark.parametrize("name", ["random", "queue", "email", "token", "rattler", "json", "threading"])
@pytest.mark.parametrize("is_package", [False, True])
def test_a_file_that_hides_a_library(machine, name, is_package):
    """One line names the file and what it hides; without it the flow runs."""
    file = machine.home / name / "__init__.py" if is_package else machine.home / f"{name}.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text("MINE = 1\n")
    words = ("--environment=conda", "run") if name == "rattler" else ("run",)
    done = machine.run(machine.flow(FLOW), *words, CONDA_CHANNELS="file:///nonexistent")
    assert done.returncode == 1, done.stdout + done.stderr
    assert is_line_about(file, name, done.stderr.splitlines()[-1])
    assert "Traceback" not in done.stderr


def is_line_about(file: Path, name: str, line: str) -> bool:
    return line.startswith(f"{file} hides the module {name} of ") and line.endswith(
        "which is needed to run flows. Rename it."
    )


@pytest.mark.parametrize(
    "name",
    [
        "types",
        "re",
        "enum",
        "copyreg",
        "weakref",
        "contextlib",
        "collections",
        "functools",
        "importlib",
        "keyword",
    ],
)
@pytest.mark.parametrize("command", ["run", "show", "check"])
def test_a_file_without_which_this_package_cannot_be_imported(machine, name, command):
    """The same line is all that is printed."""
    file = machine.home / f"{name}.py"
    file.write_text("MINE = 1\n")
    done = machine.run(machine.flow(FLOW), command)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert is_line_about(file, name, line)
    assert done.stdout == ""


def test_a_file_that_hides_what_a_task_needs(machine):
    """The line is among the task's lines."""
    file = machine.home / "tempfile.py"
    file.write_text("MINE = 1\n")
    done = machine.run(machine.flow(FLOW), "run")
    assert done.returncode == 1
    assert any(is_line_about(file, "tempfile", line.partition("] ")[2]) for line in done.stdout.splitlines())
    assert "Traceback" not in done.stdout + done.stderr


def test_an_import_from_elsewhere(machine):
    """In an interactive session the line is that of an exception, and the session goes on."""
    file = machine.home / "re.py"
    file.write_text("MINE = 1\n")
    code = "try: import airflow_conda_flow\nexcept ImportError as error: print(error)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=machine.home, capture_output=True, text=True, check=True
    )
    assert is_line_about(file, "re", done.stdout.rstrip())


def test_a_file_that_hides_what_nobody_needs(machine):
    """The flow runs, and its steps import the file."""
    (machine.home / "this.py").write_text("MINE = 1\n")
    flow = machine.flow(FLOW.replace('print("ended")', "import this; print('ended', this.MINE)"))
    done = machine.run(flow, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ended 1" in done.stdout


def test_an_error_of_the_flow_itself_stays(machine):
    """A module that is missing, or lacks a name, without anything hidden."""
    (machine.home / "mine.py").write_text("")
    text = FLOW.replace("class AFlow", "import mine\nclass AFlow").replace(
        "class AFlow(", "mine.missing\nclass AFlow("
    )
    done = machine.run(machine.flow(text), "run")
    assert "AttributeError: module 'mine' has no attribute 'missing'" in done.stderr
    assert "hides" not in done.stderr


def test_an_interactive_interpreter(machine):
    """Without a program there is no folder whose files could hide anything."""
    code = "from airflow_conda_flow.flow.hidden_module import hiding_line; print(hiding_line(ImportError(name='json')))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=machine.home, capture_output=True, text=True, check=True
    )
    assert done.stdout == "None\n"
