"""Where flow files, their modules and their data files may be."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
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
        "import importlib\ntry:\n    importlib.import_module('no_such_module')\nexcept ImportError as e:\n    assert e.name",
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


USES_LIBRARIES = """
import company.deep.part, tool
from company.deep.part import Thing
class AFlow(FlowSpec):
    @step
    def start(self):
        self.thing = Thing()
        self.next(self.end)
    {decorator}
    @step
    def end(self):
        import namespaced.one
        from company import late
        print("SAID", company.deep.part.WORD, late.WORD, tool.WORD, namespaced.one.WORD)
        print("FILES", company.deep.part.__file__, tool.__file__)
        print("DATA", company.deep.part.data())
        print("CLASS", type(self.thing) is Thing)
        tool.fail()
"""
DATA = """
import os
def data():
    with open(os.path.join(os.path.dirname(__file__), "words.txt")) as file:
        return file.read()
class Thing:
    pass
"""


@pytest.fixture
def libraries(machine):
    """A directory of a monorepo with a package, a module and a package without ``__init__.py``."""
    folder = machine.home / "libraries"
    for name, text in {
        "company/__init__.py": "",
        "company/late.py": "WORD = 'late'",
        "company/deep/__init__.py": "",
        "company/deep/part.py": f"WORD = 'deep'\n{DATA}",
        "company/deep/words.txt": "words",
        "tool.py": "WORD = 'tool'\ndef fail():\n    raise ValueError('boom')\n",
        "namespaced/one.py": "WORD = 'one'",
        "other.py": "",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    machine.environ.update(
        PYTHONPATH=str(folder),
        CONDA_FLOW_PACKAGE_MODULES="company, tool, namespaced",
        CONDA_FLOW_PACKAGE_SUFFIXES=".txt",
    )
    return folder


def test_modules_of_a_monorepo(machine, libraries):
    """They are stored with the run, which goes on with them when they are edited, and keep their own paths."""
    flow = machine.flow(USES_LIBRARIES.format(decorator=""), folder=machine.home / "flows")
    flow.write_text(
        flow.read_text().replace("self.next(self.end)", "import edit\n        self.next(self.end)")
    )
    (flow.parent / "edit.py").write_text(
        f"import pathlib\nfor each in pathlib.Path({str(libraries)!r}).rglob('*.py'):\n    each.write_text('boom!')\n"
    )
    done = machine.run(flow, "run")
    assert "] SAID deep late tool one\n" in done.stdout, done.stdout + done.stderr
    assert f"] FILES {libraries}/company/deep/part.py {libraries}/tool.py\n" in done.stdout
    assert "] DATA words\n" in done.stdout
    assert "] CLASS True\n" in done.stdout
    assert f'File "{libraries}/tool.py", line 3, in fail\n' in done.stdout
    assert "    raise ValueError('boom')\n" in done.stdout
    assert "is not in the run's code package" not in done.stdout


def test_modules_below_the_flow_file(machine, libraries):
    """They are imported by a path of their own, and so need a name of their own in the code package."""
    flow = machine.flow(USES_LIBRARIES.format(decorator=""))
    done = machine.run(flow, "package", "list", "--archive")
    assert {"tool.py", "company/late.py", "libraries/tool.py"} <= set(done.stdout.splitlines()), done.stderr
    told = machine.run(flow, "package", "info").stdout.splitlines()[-1]
    assert told.startswith(
        f"Modules from elsewhere: company ({libraries}/company), tool ({libraries}/tool.py)"
    )
    done = machine.run(flow, "run")
    assert "] SAID deep late tool one\n" in done.stdout
    assert f"] FILES {libraries}/company/deep/part.py {libraries}/tool.py\n" in done.stdout


def test_modules_beside_the_flow_file(machine, libraries):
    """One that is packed anyway is not packed twice."""
    flow = machine.flow(USES_LIBRARIES.format(decorator=""), folder=libraries)
    assert "Modules from elsewhere" not in machine.run(flow, "package", "info").stdout
    assert "] SAID deep late tool one\n" in machine.run(flow, "run").stdout


def test_modules_of_a_monorepo_in_an_environment(machine, libraries, channel):
    """Without the variables of the machine, in processes that a step spawns too."""
    machine.environ["CONDA_CHANNELS"] = channel.url
    text = USES_LIBRARIES.format(decorator=f'@conda(python="{channel.python}")')
    flow = machine.flow(text.replace("tool.fail()", "spawns()"), folder=machine.home / "flows")
    spawns = """
    def spawns():
        import multiprocessing
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print("SPAWNED", pool.apply(word))
    def word():
        import tool
        return tool.WORD
    """
    flow.write_text(flow.read_text().replace("class AFlow", textwrap.dedent(spawns) + "class AFlow"))
    done = machine.run(flow, "--environment=conda", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "] SAID deep late tool one\n" in done.stdout
    assert f"] FILES {libraries}/company/deep/part.py {libraries}/tool.py\n" in done.stdout
    assert "] SPAWNED tool\n" in done.stdout
    listed = machine.run(flow, "package", "list").stdout.splitlines()
    assert {f"{libraries}/tool.py", f"{libraries}/company/deep/words.txt", str(flow)} <= set(listed)
    assert f"{libraries}/other.py" not in listed


def test_modules_that_only_a_path_leads_to(machine, libraries, channel):
    """They are named before the run and by ``check``, with the setting that mends it; alone in an environment."""
    machine.environ["CONDA_CHANNELS"] = channel.url
    text = USES_LIBRARIES.format(decorator=f'@conda(python="{channel.python}")').replace(
        "tool.fail()", "pass"
    )
    flow = machine.flow(
        text.replace("    @step\n    def start", "    @conda(disabled=True)\n    @step\n    def start"),
        folder=machine.home / "flows",
    )
    del machine.environ["CONDA_FLOW_PACKAGE_MODULES"]
    done = machine.run(flow, "--environment=conda", "run")
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if " lacks the module " in line]
    place = f"{flow}:3: Step end lacks the module"
    assert lines[0].startswith(f"{place} company, which is imported from {libraries}/company here: ")
    assert lines[1].startswith(f"{place} tool, which is imported from {libraries}/tool.py here: ")
    assert "Step end lacks the module namespaced, " in lines[2]
    assert len(lines) == 3
    assert [line for line in machine.run(flow, "check").stderr.splitlines() if line in lines] == lines
    (setting,) = {re.search(r"CONDA_FLOW_PACKAGE_MODULES=([\w,]+)", line)[1] for line in lines}
    done = machine.run(flow, "--environment=conda", "run", CONDA_FLOW_PACKAGE_MODULES=setting)
    assert "] SAID deep late tool one\n" in done.stdout, done.stdout + done.stderr
    assert "lacks" not in done.stderr
    assert "lacks" not in machine.run(flow, "check", CONDA_FLOW_PACKAGE_MODULES=setting).stderr
    done = machine.run(flow, "run")
    assert "] SAID deep late tool one\n" in done.stdout
    assert "lacks" not in done.stderr


def test_a_link_to_a_flow_file_as_a_module(machine):
    """Python imports a module's neighbours from the directory of the link; so do steps."""
    folder = machine.home / "flows"
    flow = machine.flow(BESIDE, folder=folder)
    for name, word in (("beside.py", "WORD = 'link'"), ("text.txt", "link")):
        (machine.home / name).write_text(word)
        (folder / name).write_text("WORD = 'target'")
    (machine.home / "link.py").symlink_to(flow)
    done = machine.run("-m", "link", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "] FOUND link link link\n" in done.stdout
    assert "] CLASS True\n" in done.stdout


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ("no_such_module", "and there is no such module here. Add the directory that it is in to PYTHONPATH"),
        ("company.deep", "without dots"),
        ("json", "which every Python has"),
        ("sys", "which every Python has"),
        ("_cffi_backend", "which has no source"),
    ],
)
def test_modules_that_cannot_be_packed(machine, libraries, names, line):
    """One line names the setting before anything runs, and so does ``check``."""
    flow = machine.flow(USES_LIBRARIES.format(decorator=""), folder=machine.home / "flows")
    done = machine.run(flow, "run", CONDA_FLOW_PACKAGE_MODULES=f"company,{names}")
    assert done.returncode == 1
    assert f"The setting package_modules has {names}" in done.stderr.replace("'", ""), done.stderr
    assert line in done.stderr
    assert "Traceback" not in done.stderr
    checked = machine.run(flow, "check", CONDA_FLOW_PACKAGE_MODULES=f"company,{names}")
    assert checked.returncode == 1
    assert (checked.stdout, checked.stderr) == ("", done.stderr.splitlines(keepends=True)[-1])
