"""Files beside a flow that have the name of a library."""

from __future__ import annotations

import subprocess
import sys

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


@pytest.mark.parametrize("name", ["random", "queue", "email", "token", "rattler", "json"])
@pytest.mark.parametrize("is_package", [False, True])
def test_a_file_that_hides_a_library(machine, name, is_package):
    """One line names the file and what it hides; without it the flow runs."""
    file = machine.home / name / "__init__.py" if is_package else machine.home / f"{name}.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text("MINE = 1\n")
    words = ("--environment=conda", "run") if name == "rattler" else ("run",)
    done = machine.run(machine.flow(FLOW), *words, CONDA_CHANNELS="file:///nonexistent")
    assert done.returncode == 1, done.stdout + done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"{file} hides the module {name} of ")
    assert last.endswith("which is needed to run flows. Rename it.")
    assert "Traceback" not in done.stderr


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
