"""Where flow files, their modules and their data files may be."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest

from ...parts.flow_machine import Machine

BESIDE = """
import os
import beside
from airflow_conda_flow import IncludeFile
class Thing:
    pass
class AFlow(FlowSpec):
    text = IncludeFile("text", default="text.txt")
    @step
    def start(self):
        self.thing = Thing()
        self.next(self.end)
    @step
    def end(self):
        print("FOUND", beside.WORD, self.text, open(os.path.dirname(__file__) + "/text.txt").read())
        print("CLASS", type(self.thing) is Thing)
"""
WITH_TOP = """
{first}
class AFlow(FlowSpec):
    @conda(libraries={{"tinything": "1.0"}})
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        pass
"""
ADVICE = "import it inside those steps"


@pytest.fixture
def machine(tmp_path) -> Machine:
    """A machine with an empty home."""
    return Machine(tmp_path / "home")


@pytest.mark.parametrize("is_absolute", [True, False])
def test_a_link_to_a_flow_file(machine, is_absolute):
    """As for any Python program, what is beside the file is found, and not what is beside the link."""
    folder = machine.home / "flows"
    flow = machine.flow(BESIDE, folder=folder)
    (folder / "beside.py").write_text("WORD = 'right'")
    (folder / "text.txt").write_text("own")
    (machine.home / "beside.py").write_text("WORD = 'wrong'")
    second = machine.home / "second.py"
    second.symlink_to(flow if is_absolute else "flows/a_flow.py")
    link = machine.home / "other" / "link.py"
    link.parent.mkdir()
    link.symlink_to(second)
    done = machine.run(link, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "] FOUND right own own\n" in done.stdout
    assert "] CLASS True\n" in done.stdout


@pytest.mark.parametrize("name", ["a_flow.txt", "a_flow", "a-flow.py", "a flow.py", "a.b.py", "a.b"])
def test_any_name(machine, name):
    """Python runs a program of any name; so do steps."""
    flow = machine.flow(
        """
        class Thing:
            pass
        class AFlow(FlowSpec):
            @step
            def start(self):
                self.thing = Thing()
                self.next(self.end)
            @step
            def end(self):
                print("CLASS", type(self.thing) is Thing)
                raise ValueError("boom")
        """,
        name,
    )
    done = machine.run(flow, "run")
    assert "] CLASS True\n" in done.stdout, done.stdout + done.stderr
    line = flow.read_text().splitlines().index('        raise ValueError("boom")') + 1
    assert f'File "{flow}", line {line}, in end\n' in done.stdout
    assert '    raise ValueError("boom")\n' in done.stdout


def test_files_of_a_base_class_elsewhere(machine):
    """Those beside the flow file count; if there are none, those beside the base class."""
    library = machine.home / "lib"
    library.mkdir()
    (library / "base.py").write_text(
        "from airflow_conda_flow import Config, FlowSpec, IncludeFile\n"
        "class Base(FlowSpec):\n"
        "    text = IncludeFile('text', default='text.txt')\n"
        "    more = IncludeFile('more', default='more.txt')\n"
        "    config = Config('config', default='config.json')\n"
    )
    flow = machine.flow(
        """
        from lib.base import Base
        class AFlow(Base):
            @step
            def start(self):
                print("READ", self.text, self.more, self.config.word)
                self.next(self.end)
            @step
            def end(self):
                pass
        """,
        folder=machine.home / "flows",
    )
    for folder, word in ((library, "base"), (flow.parent, "flow"), (machine.home, "working directory")):
        (folder / "text.txt").write_text(word)
        (folder / "config.json").write_text(f'{{"word": "{word}"}}')
    (library / "more.txt").write_text("base")
    done = machine.run(flow, "run", PYTHONPATH=str(machine.home))
    assert "] READ flow base flow\n" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("first", "is_explained"),
    [
        ("import no_such_module", True),
        ("from no_such_module import thing", True),
        ("import no_such_module.part", True),
        ("import beside", False),  # which imports it: the advice would be wrong there
    ],
)
def test_a_module_that_only_a_step_has(machine, first, is_explained):
    """The error says where to import it, and shows the user's lines alone."""
    (machine.home / "beside.py").write_text("import no_such_module")
    done = machine.run(machine.flow(WITH_TOP.format(first=first)), "show")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: No module named 'no_such_module'")
    assert (ADVICE in last) is is_explained
    assert "absent_modules" not in done.stderr


def test_a_module_that_a_step_lacks(machine):
    """The same advice, if it is there when the run starts, but not for a step."""
    first = "import sys\nif len(sys.argv) == 1:  # in a step\n    import no_such_module"
    done = machine.run(machine.flow(WITH_TOP.format(first=first)), "run")
    assert done.returncode == 1
    assert ADVICE in done.stdout
    assert "absent_modules" not in done.stdout


@pytest.mark.parametrize(
    "first",
    [
        "try:\n    import no_such_module\nexcept ImportError:\n    pass",
        "import importlib.util\nassert importlib.util.find_spec('no_such_module') is None",
        "import importlib\ntry:\n    importlib.import_module('no_such_module')\nexcept ModuleNotFoundError as error:\n"
        "    assert error.name == 'no_such_module'",
    ],
)
def test_whoever_looks_for_a_module(machine, first):
    """Code that asks whether there is a module is answered as ever."""
    done = machine.run(machine.flow(WITH_TOP.format(first=first)), "show")
    assert done.returncode == 0, done.stderr


def test_the_advice_in_dag_processing(machine):
    """Airflow reads the file as a module."""
    flow = machine.flow(WITH_TOP.format(first="import no_such_module"))
    program = (
        f"import airflow_conda_flow, runpy; runpy.run_path({str(flow)!r}, run_name='unusual_prefix_a_flow')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ADVICE in done.stderr


def test_a_flow_in_an_archive(machine):
    """Airflow reads zip files in its DAG folder; a flow in one is refused with what to do."""
    flow = machine.flow(
        "class AFlow(FlowSpec):\n    @step(start=True, end=True)\n    def only(self):\n        pass\n"
    )
    archive = machine.home / "dags" / "flows.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as file:
        file.write(flow, "a_flow.py")
    program = f"import sys; sys.path.insert(0, {str(archive)!r}); from a_flow import AFlow; AFlow.dag()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    line = (
        f"{archive}/a_flow.py:3: The source of step 'only' cannot be read: its file is inside of {archive}."
    )
    assert line in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["-"], ["-c", "exec(__import__('sys').stdin.read())"]])
def test_a_flow_in_no_file(machine, arguments):
    """Steps would have nothing to read."""
    flow = machine.flow(
        "class AFlow(FlowSpec):\n    @step(start=True, end=True)\n    def only(self):\n        pass\n"
    )
    done = subprocess.run(
        [sys.executable, *arguments], input=flow.read_text(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "The source of step 'only' cannot be read: there is no file" in line
    assert line.endswith("Write the flow into a file.")
