"""Steps run what was stored when their run began, whatever becomes of the user's files."""

from __future__ import annotations

import os
import py_compile
import shutil
import sys
import sysconfig
import wave
from pathlib import Path

import pytest

from airflow_conda_flow.datastore import code_package
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.runner.code_sources import CodeSources

from ...parts.attempt_machine import old_python, one_step

FLOW = """
import helper

class AFlow(FlowSpec):
    @step
    def start(self):
        self.said = helper.SAID
        self.where = __file__
        self.next(self.end)

    @step
    def end(self):
        import later
        from pkg.sub import deep
        from ns import inner
        self.lazy = [later.SAID, deep.SAID, inner.SAID]
        self.files = [later.__file__, deep.__file__, inner.__file__]
"""
MODULES = {
    "helper.py": "SAID = 'stored'",
    "later.py": "SAID = 'stored'",
    "pkg/__init__.py": "",
    "pkg/near.py": "SAID = 'stored'",
    "pkg/sub/__init__.py": "",
    "pkg/sub/deep.py": "from ..near import SAID",
    "ns/inner.py": "SAID = 'stored'",
}
NEW = "raise SystemExit('the edited file ran')\n"


def _half_saved(path: Path) -> None:
    path.write_text(path.read_text()[:-20] + "\n    def (")


def _renamed(path: Path) -> None:
    path.rename(path.with_suffix(".old"))


EDITS = {
    "edited": lambda path: path.write_text(NEW),
    "half saved": _half_saved,
    "emptied": lambda path: path.write_text(""),
    "deleted": Path.unlink,
    "renamed": _renamed,
    "a directory": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.fixture
def make_flow(make_run, tmp_path):
    """Prepares a run of a flow with modules and other files beside it."""

    def make(text: str, files: dict[str, str | bytes] | None = None, **options):
        for name, content in (files or {}).items():
            path = tmp_path / "code" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(tmp_path / "code"))
            before = set(sys.modules)
            run = make_run(text, **options)
            for name in set(sys.modules) - before:
                if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None)):
                    del sys.modules[name]
        return run

    return make


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_during_a_run(make_flow, edit):
    """Flow file and modules, imported at once or lazily, are the stored ones under the user's paths."""
    run = make_flow(FLOW, MODULES)
    for path in [*run.folder.rglob("*.py")]:
        EDITS[edit](path)
    started = run.done("start")
    assert run.value(started, "said") == "stored"
    assert run.value(started, "where") == str(run.folder / "a_flow.py")
    ended = run.done("end")
    assert run.value(ended, "lazy") == ["stored"] * 3
    names = ["later.py", "pkg/sub/deep.py", "ns/inner.py"]
    assert run.value(ended, "files") == [str(run.folder / name) for name in names]
    assert run.printed("stderr") == []


def test_an_edit_between_two_steps(make_flow):
    """The step after it and a retry run what the first one ran."""
    run = make_flow(FLOW, MODULES)
    run.done("start")
    for name in MODULES:
        (run.folder / name).write_text(NEW)
    assert run.value(run.done("start", attempt=1), "said") == "stored"
    assert run.value(run.done("end"), "lazy") == ["stored"] * 3


def test_the_folder_is_renamed(make_flow):
    """The run does not need it."""
    run = make_flow(FLOW, MODULES)
    run.folder.rename(run.folder.with_name("elsewhere"))
    assert run.value(run.done("start"), "said") == "stored"
    assert run.value(run.done("end"), "lazy") == ["stored"] * 3
    assert not run.folder.exists()


def test_data_files_are_those_beside_the_flow(make_flow):
    """By the module's path, by ``pkgutil`` and by ``importlib.resources``, as they are when they are read."""
    text = one_step(
        """
        from pkg import reader
        self.found = [open(os.path.join(os.path.dirname(__file__), "data.txt")).read(), *reader.read()]
        """,
        "import os",
    )
    reader = """
import importlib.resources, pkgutil
def read():
    return [pkgutil.get_data("pkg", "data.txt").decode(), importlib.resources.read_text("pkg", "data.txt")]
"""
    if sys.version_info >= (3, 11):
        reader = reader.replace(
            'importlib.resources.read_text("pkg", "data.txt")',
            '(importlib.resources.files("pkg") / "data.txt").read_text()',
        )
    files = {"pkg/__init__.py": "", "pkg/reader.py": reader, "data.txt": "old", "pkg/data.txt": "old"}
    run = make_flow(text, files)
    for name in ("data.txt", "pkg/data.txt"):
        (run.folder / name).write_text("new")
    assert run.value(run.done("start"), "found") == ["new"] * 3


FAILS = one_step(
    """
    import inspect, traceback, warnings
    self.source = inspect.getsource(helper.fail)
    self.cls = inspect.getsource(type(self))
    print(inspect.getsourcefile(helper))
    warnings.warn("beware")
    try:
        helper.fail()
    except KeyError:
        print(traceback.format_exc())
    helper.fail()  # the stored line
    """,
    "import helper",
)


@pytest.mark.parametrize("edit", ["edited", "deleted", "emptied"])
def test_tracebacks_show_the_stored_lines(make_flow, edit):
    """With the user's paths; so do warnings and ``inspect``."""
    run = make_flow(FAILS, {"helper.py": "\ndef fail():\n    raise KeyError('no luck')  # stored too\n"})
    for name in ("a_flow.py", "helper.py"):
        EDITS[edit](run.folder / name)
    failed = run.failure("start")
    assert f'File "{run.folder}/a_flow.py"' in failed["traceback"]
    assert f'File "{run.folder}/helper.py", line 3, in fail\n' in failed["traceback"]
    assert "helper.fail()  # the stored line" in failed["traceback"]
    assert "raise KeyError('no luck')  # stored too" in failed["traceback"]
    assert run.printed()[0] == str(run.folder / "helper.py")
    assert "    raise KeyError('no luck')  # stored too" in run.printed()
    assert '  warnings.warn("beware")' in run.printed("stderr")


def test_sources_of_functions_and_classes(make_flow):
    """``inspect.getsource`` gives the stored text, form feeds and other alphabets included."""
    helper = "# coding: latin-1\n\ndef name():\n    return 'caf\xe9\x0c'  # \x0b\n"
    run = make_flow(
        one_step(
            """
            import inspect
            self.source = inspect.getsource(helper.name)
            self.cls = inspect.getsource(type(self))
            """,
            "import helper",
        ),
        {"helper.py": helper.encode("latin-1")},
    )
    (run.folder / "helper.py").write_text(NEW)
    (run.folder / "a_flow.py").write_text(NEW)
    done = run.done("start")
    assert run.value(done, "source") == "def name():\n    return 'caf\xe9\x0c'  # \x0b\n"
    assert run.value(done, "cls").startswith("class AFlow(FlowSpec):\n    @step\n")


def test_a_module_that_is_not_in_the_package(make_flow):
    """It is imported as it is, and the step's log says so; modules of tools in hidden folders are not named."""
    text = one_step("""
        import sys, os
        import added
        sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".lib"))
        import tool
        self.said = [added.SAID, tool.SAID]
    """)
    run = make_flow(text, {".lib/tool.py": "SAID = 1"})
    (run.folder / "added.py").write_text("SAID = 2")
    assert run.value(run.done("start"), "said") == [2, 1]
    (line,) = run.printed("stderr")
    assert line == (
        f"Module added is not in the run's code package, which was made when the run began: {run.folder}/added.py "
        "is imported as it is now."
    )


def test_modules_are_listed_as_they_were_stored(make_flow):
    """``pkgutil`` gives the stored modules and compiled ones, and no source that was added or removed since."""
    text = one_step("""
        import pkgutil, plugins
        self.names = sorted(name for _, name, _ in pkgutil.iter_modules(plugins.__path__))
        self.packages = sorted(name for _, name, is_package in pkgutil.iter_modules(plugins.__path__) if is_package)
    """)
    files = {"plugins/__init__.py": "", "plugins/one.py": "", "plugins/two/__init__.py": ""}
    run = make_flow(text, files)
    (run.folder / "plugins" / "one.py").unlink()
    (run.folder / "plugins" / "three.py").write_text(NEW)
    (run.folder / "plugins" / f"four{sysconfig.get_config_var('EXT_SUFFIX')}").write_bytes(b"")
    done = run.done("start")
    assert run.value(done, "names") == ["four", "one", "two"]
    assert run.value(done, "packages") == ["two"]


def test_compiled_modules_come_from_the_users_folder(make_flow):
    """A code package does not hold them: an extension module, and bytecode without a source."""
    library = Path(sysconfig.get_path("platstdlib")) / "lib-dynload"
    extension = next(iter(library.glob(f"_queue{sysconfig.get_config_var('EXT_SUFFIX')}")), None)
    text = one_step("""
        import bare
        self.bare = bare.SAID
        try:
            from pkg import _queue
        except ImportError:
            self.file = None
        else:
            self.file = _queue.__file__
    """)
    run = make_flow(text, {"pkg/__init__.py": ""})
    source = run.folder / "bare.py"
    source.write_text("SAID = 1")
    py_compile.compile(str(source), str(source.with_suffix(".pyc")))
    source.unlink()
    if extension is not None:
        shutil.copy(extension, run.folder / "pkg")
    done = run.done("start")
    assert run.value(done, "bare") == 1
    expected = None if extension is None else str(run.folder / "pkg" / extension.name)
    assert run.value(done, "file") == expected


SPAWNS = """
import concurrent.futures, multiprocessing

def ask(_):
    import helper
    return helper.SAID, __file__

class AFlow(FlowSpec):
    @step
    def start(self):
        context = multiprocessing.get_context(METHOD)
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            self.said = list(pool.map(ask, [1]))
        self.next(self.end)
    @step
    def end(self):
        pass
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_a_step_run_the_stored_code_too(make_flow, method):
    """However they are started."""
    run = make_flow(SPAWNS.replace("METHOD", repr(method)), {"helper.py": "SAID = 'stored'"})
    for path in run.folder.glob("*.py"):
        path.write_text(NEW)
    done = run.done("start")
    assert run.value(done, "said") == [("stored", str(run.folder / "a_flow.py"))]


@pytest.mark.parametrize("name", ["json.py", "my-flow.py", "zipfile.py"])
def test_a_flow_file_whose_name_is_taken(make_run, name):
    """By a module of Python, or that is no name of a module."""
    run = make_run(one_step("self.where = __file__"), name=name)
    (run.folder / name).write_text(NEW)
    assert run.value(run.done("start"), "where") == str(run.folder / name)


def test_links(make_flow, tmp_path):
    """A link beside the flow may lead elsewhere meanwhile, and a step may use the folder's real path."""
    text = one_step("""
        import os, sys
        import linked
        from linked_pkg import inner
        sys.path.insert(0, os.path.join(os.path.realpath(os.path.dirname(__file__)), "more"))
        import extra
        self.said = [linked.SAID, inner.SAID, extra.SAID]
    """)
    away = tmp_path / "away"
    (away / "pkg").mkdir(parents=True)
    (away / "linked.py").write_text("SAID = 'stored'")
    (away / "pkg" / "inner.py").write_text("SAID = 'stored'")
    real = tmp_path / "real"
    (real / "more").mkdir(parents=True)
    (real / "more" / "extra.py").write_text("SAID = 'stored'")
    (real / "linked.py").symlink_to(away / "linked.py")
    (real / "linked_pkg").symlink_to(away / "pkg")
    (tmp_path / "code").symlink_to(real)
    run = make_flow(text)
    for path in [
        away / "linked.py",
        away / "pkg" / "inner.py",
        real / "more" / "extra.py",
        real / "a_flow.py",
    ]:
        path.write_text(NEW)
    assert run.value(run.done("start"), "said") == ["stored"] * 3


def test_a_reloaded_module_is_the_stored_one(make_flow):
    """``importlib.reload`` finds it again, and so does an import after ``invalidate_caches``."""
    text = one_step(
        """
        import importlib, sys
        self.said = [importlib.reload(helper).SAID]
        del sys.modules["helper"]
        importlib.invalidate_caches()
        self.said.append(importlib.import_module("helper").SAID)
        """,
        "import helper",
    )
    run = make_flow(text, {"helper.py": "SAID = 'stored'"})
    (run.folder / "helper.py").write_text(NEW)
    assert run.value(run.done("start"), "said") == ["stored"] * 2


def test_a_module_that_the_step_writes_is_importable(make_flow):
    """As generated code is; after ``invalidate_caches``, as Python asks for."""
    text = one_step("""
        import importlib, os
        with open(os.path.join(os.path.dirname(__file__), "generated.py"), "w") as file:
            file.write("SAID = 1")
        importlib.invalidate_caches()
        import generated
        self.said = generated.SAID
    """)
    run = make_flow(text)
    assert run.value(run.done("start"), "said") == 1


def test_bytecode_is_kept_with_the_stored_code(make_flow, monkeypatch):
    """Nothing is written beside the user's files; the next step takes the bytecode of the first one."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    run = make_flow(FLOW, MODULES)
    before = sorted(path for path in run.folder.rglob("*") if "__pycache__" not in path.parts)
    for path in [*run.folder.rglob("__pycache__")]:
        shutil.rmtree(path)
    run.done("start")
    run.done("end")
    assert sorted(run.folder.rglob("*")) == before
    stored = run.datastore.cache_dir / "code" / run.manifest["code"]["sha256"]
    written = sorted(path.relative_to(stored) for path in stored.rglob("*.pyc"))
    assert len(written) == len(MODULES) + 1
    (compiled,) = stored.glob("__pycache__/later.*.pyc")
    stamp = compiled.stat().st_mtime_ns
    assert run.value(run.done("end", attempt=1), "lazy") == ["stored"] * 3
    assert compiled.stat().st_mtime_ns == stamp


def test_two_copies_of_the_same_code_share_their_bytecode(make_flow, monkeypatch, tmp_path):
    """And each has its own paths in tracebacks."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    run = make_flow(one_step("self.where = (lambda: 0).__code__.co_filename"))
    other = tmp_path / "other"
    shutil.copytree(run.folder, other)
    for folder in (run.folder, other, run.folder):
        assert run.value(run.done("start", sources=CodeSources(folder)), "where") == str(folder / "a_flow.py")
    copy = Path(run.value(run.done("start", sources=None), "where"))
    assert copy.is_relative_to(run.datastore.cache_dir)


@pytest.mark.parametrize("minor", ["3.6", "3.7", "3.8", "3.13"])
def test_other_interpreters(make_flow, minor):
    """Back to Python 3.6."""
    python = old_python(minor)
    if python is None:
        pytest.skip(f"no Python {minor} on this machine")
    run = make_flow(FLOW, MODULES)
    run.manifest["pickle_protocols"] = {"start": 4, "end": 4}
    for path in [*run.folder.rglob("*.py")]:
        path.write_text(NEW)
    options = {"python": python}
    assert run.value(run.done("start", **options), "said") == "stored"
    assert run.value(run.done("end", **options), "lazy") == ["stored"] * 3


@pytest.mark.parametrize("minor", ["3.6", "3.8", "3.13"])
def test_tracebacks_of_other_interpreters(make_flow, minor):
    """They show the stored lines, too."""
    python = old_python(minor)
    if python is None:
        pytest.skip(f"no Python {minor} on this machine")
    run = make_flow(FAILS, {"helper.py": "\ndef fail():\n    raise KeyError('no luck')  # stored too\n"})
    for name in ("a_flow.py", "helper.py"):
        (run.folder / name).write_text(NEW)
    failed = run.failure("start", python=python)
    assert "raise KeyError('no luck')  # stored too" in failed["traceback"]
    assert "helper.fail()  # the stored line" in failed["traceback"]
    assert "    raise KeyError('no luck')  # stored too" in run.printed()


def test_an_interpreter_below_the_flows_folder(make_flow, monkeypatch):
    """Its libraries are no modules of the flow: none is looked for in the code package, and no line names it."""
    run = make_flow(one_step("import wave; self.where = wave.__file__"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    root = Path(os.path.commonpath([run.folder, sys.base_prefix]))
    assert run.value(run.done("start", sources=CodeSources(root)), "where") == wave.__file__
    assert run.printed("stderr") == []


def test_an_edit_while_the_run_is_prepared(make_flow, monkeypatch, tmp_path):
    """Environments may take minutes: the code is that of the run's start, as its graph is."""

    def resolve_all(_environments, _wanted):
        for path in (tmp_path / "code").glob("*.py"):
            path.write_text(NEW)
        return {}

    monkeypatch.setattr(Environments, "resolve_all", resolve_all)
    run = make_flow(FLOW, MODULES)
    assert run.value(run.done("start"), "said") == "stored"
    assert run.value(run.done("end"), "lazy") == ["stored"] * 3


def test_an_edit_before_the_code_is_stored(make_flow, monkeypatch, tmp_path):
    """The flow file is stored as it was read for the graph, with its modules as they are then."""
    build = code_package.build

    def edited_and_built(*arguments, **options):
        (tmp_path / "code" / "a_flow.py").write_text(NEW)
        return build(*arguments, **options)

    monkeypatch.setattr(code_package, "build", edited_and_built)
    run = make_flow(FLOW, MODULES)
    assert run.value(run.done("start"), "said") == "stored"
