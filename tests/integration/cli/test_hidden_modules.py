"""Files beside a flow that have the name of a library."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap
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


@pytest.mark.parametrize("name", ["random", "queue", "token", "rattler", "json", "threading"])
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


@pytest.mark.parametrize("is_package", [False, True])
def test_a_file_that_hides_what_only_s3_needs(machine, is_package):
    """A run on this machine does not mind; one whose datastore is in S3 says the same line."""
    file = machine.home / "email" / "__init__.py" if is_package else machine.home / "email.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text("MINE = 1\n")
    flow = machine.flow(FLOW)
    done = machine.run(flow, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    done = machine.run(flow, "--datastore", "s3", "--datastore-root", "s3://b/x", "run", **keys)
    assert done.returncode == 1, done.stdout + done.stderr
    assert is_line_about(file, "email", done.stderr.splitlines()[-1])
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


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> list[str]:
    """Some modules of Python's library that a run imports, and that a bare interpreter does not."""
    machine = Machine(tmp_path_factory.mktemp("imported") / "home")
    ran = machine.run(machine.flow(FLOW), "run", PYTHONPROFILEIMPORTTIME="1").stderr
    bare = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", ""], capture_output=True, text=True, check=True
    )
    found = sorted(filter(is_file_of_python, modules_in(ran) - modules_in(bare.stderr)))
    assert len(found) > 40
    return found[:: len(found) // 10]


def modules_in(text: str) -> set[str]:
    """The modules that Python says it has imported; what the steps' processes say has a prefix."""
    return {line.rpartition("|")[2].strip() for line in text.splitlines() if line.startswith("import time:")}


def is_file_of_python(name: str) -> bool:
    spec = importlib.util.find_spec(name) if name in sys.stdlib_module_names else None
    return spec is not None and str(spec.origin).endswith(".py")


@pytest.mark.parametrize("entry", ["'/nonexistent'", "'lib'", "''"])
def test_a_flow_that_changes_the_path(machine, imported, entry):
    """The same line: the directory of the flow file is no longer the first one. What the run does not use is no harm."""
    top = f"import sys; sys.path.insert(0, {entry})\nfrom airflow_conda_flow import FlowSpec, step\n"
    flow = machine.home / "a_flow.py"
    flow.write_text(f"{top}{FLOW}\nif __name__ == '__main__':\n    AFlow()\n")
    refused = set()
    for name in imported:
        file = machine.home / f"{name}.py"
        file.write_text("MINE = 1\n")
        done = machine.run(flow, "run")
        file.unlink()
        assert "Traceback" not in done.stdout + done.stderr
        if done.returncode == 0:
            assert "ended" in done.stdout
        elif "start/start-0 failed" not in done.stderr:  # see test_a_file_that_hides_what_a_task_needs
            assert is_line_about(file, name, done.stderr.splitlines()[-1])
            refused.add(name)
    assert len(refused) > 3


@pytest.mark.parametrize("name", ["argparse", "queue"])
def test_a_file_in_another_directory(machine, name):
    """The error ends with the line, since the file may be of use to other programs."""
    file = machine.home / "lib" / f"{name}.py"
    file.parent.mkdir()
    file.write_text("MINE = 1\n")
    done = machine.run(machine.flow(FLOW), "run", PYTHONPATH=str(file.parent))
    assert done.returncode == 1
    assert is_line_about(file, name, done.stderr.splitlines()[-1].partition("ImportError: ")[2])


def test_two_files_of_the_user(machine):
    """Neither is a library: an error about one of them stays as it is."""
    (machine.home / "lib").mkdir()
    for folder in (machine.home, machine.home / "lib"):
        (folder / "mine.py").write_text("")
    text = """
        import mine
        class Mine(FlowMutator):
            def mutate(self, mutable_flow):
                mine.missing
        @Mine
        """
    flow = machine.flow(FLOW)
    flow.write_text(flow.read_text().replace("class AFlow", textwrap.dedent(text).strip() + "\nclass AFlow"))
    flow.write_text("from airflow_conda_flow import FlowMutator\n" + flow.read_text())
    done = machine.run(flow, "run", PYTHONPATH=str(machine.home / "lib"))
    assert "module 'mine' has no attribute 'missing'" in done.stderr, done.stderr
    assert "hides" not in done.stderr


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
