"""Modules that a flow imports here and that its steps lack: each is named, and nothing else is."""

from __future__ import annotations

import importlib
import sys
import zipfile
from pathlib import Path

import pytest

from airflow_conda_flow.flow.definition import read_flow
from airflow_conda_flow.runner.code_sources import CodeSources
from airflow_conda_flow.runner.lacking_modules import lacking_modules

from ...parts.attempt_machine import IMPORTS, load_flow_module

FLOW = """
{top}
class AFlow(FlowSpec):
    @step
    def start(self):
        {start}
        self.next(self.end)
    @step
    def end(self):
        pass
    def other(self):
        {other}
"""
FILES = {
    "flows/beside.py": "import acme_lib",
    "flows/package/__init__.py": "",
    "flows/package/inner.py": "import acme_tool",
    "elsewhere/acme_lib/__init__.py": "",
    "elsewhere/acme_lib/part.py": "WORD = 1",
    "elsewhere/acme_tool.py": "",
    "elsewhere/acme_named/__init__.py": "import acme_tool",
    "elsewhere/acme_space/one.py": "",
    "second/acme_space/two.py": "",
    "elsewhere/acme_alone/one.py": "",
    "elsewhere/acme_compiled.abi3.so": "",
    "installed/acme_target.py": "",
    "installed/acme_target-1.0.dist-info/METADATA": "",
    "venv/site-packages/acme_site.py": "",
}
FOLDERS = ("flows", "elsewhere", "second", "installed", "venv/site-packages")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Directories with modules, which are all on ``sys.path``."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("acme_zipped.py", "")
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(sys, "path", [*(str(tmp_path / each) for each in FOLDERS), *sys.path])
    sys.path.append(str(tmp_path / "archive.zip"))
    importlib.invalidate_caches()
    return tmp_path


def _lines(folder: Path, top="", start="pass", other="pass", packages=(), named=(), steps=("start", "end")):
    """Lines about a flow, each without its place."""
    file = folder / "flows" / "a_flow.py"
    file.write_text(IMPORTS + FLOW.format(top=top, start=start, other=other))
    definition = read_flow(load_flow_module(file).AFlow)
    found = lacking_modules(
        definition, CodeSources.of(definition, named), dict.fromkeys(steps, ("python", *packages))
    )
    places = [line.partition(": ") for line in found]
    assert all(Path(place.rpartition(":")[0]).is_file() for place, _, _ in places)
    return [line for _, _, line in places]


LACK = "Steps start, end lack the module "


@pytest.mark.parametrize(
    ("top", "start", "name", "path"),
    [
        ("import acme_lib", "pass", "acme_lib", "elsewhere/acme_lib"),
        ("import acme_lib.part", "pass", "acme_lib", "elsewhere/acme_lib"),
        ("from acme_lib import part, __doc__", "pass", "acme_lib", "elsewhere/acme_lib"),
        ("from acme_alone import one", "pass", "acme_alone", "elsewhere/acme_alone"),
        ("from acme_lib.part import WORD", "pass", "acme_lib", "elsewhere/acme_lib"),
        ("import acme_tool as tool", "pass", "acme_tool", "elsewhere/acme_tool.py"),
        ("import acme_alone.one", "pass", "acme_alone", "elsewhere/acme_alone"),
        ("import beside", "pass", "acme_lib", "elsewhere/acme_lib"),
        ("from package import inner", "pass", "acme_tool", "elsewhere/acme_tool.py"),
        ("import package.inner", "pass", "acme_tool", "elsewhere/acme_tool.py"),
        ("", "import acme_tool", "acme_tool", "elsewhere/acme_tool.py"),
        ("", "from acme_lib import part", "acme_lib", "elsewhere/acme_lib"),
    ],
)
def test_a_module_elsewhere(folder, top, start, name, path):
    """The line names it, where it is, the steps that lack it, and both ways out."""
    who = LACK if top else "Step start lacks the module "
    (line,) = _lines(folder, top, start)
    assert line == (
        f"{who}{name}, which is imported from {folder / path} here: it is not beside the flow file, and no "
        "package of the environment has its name. Name it in the setting package_modules "
        f"(CONDA_FLOW_PACKAGE_MODULES={name}), or move it to {folder / 'flows'}."
    )
    assert _lines(folder, top, start, named=(name,)) == []


def test_several_modules(folder):
    """The value of the setting has all of them, and those that it has already; each has a line of its own."""
    found = _lines(folder, "import acme_lib, acme_named, acme_alone.one", named=("acme_named",))
    assert [line.removeprefix(LACK).partition(",")[0] for line in found] == [
        "acme_lib",
        "acme_alone",
        "acme_tool",
    ]
    assert all("=acme_named,acme_lib,acme_alone,acme_tool)" in line for line in found)


def test_a_compiled_module(folder):
    """A code package cannot have it."""
    (line,) = _lines(folder, start="import acme_compiled")
    assert line.endswith("has its name. Declare what provides it with @conda or @pypi.")


def test_a_package_that_the_flow_is_part_of(folder, monkeypatch):
    """It cannot be moved beside the flow file; started as a module, the flow has all of it."""
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    (line,) = _lines(folder, "import flows.beside")
    assert line.startswith(f"{LACK}flows, which is imported from {folder / 'flows'} here: ")
    assert line.endswith("=flows), or start the flow as a module: python -m flows.a_flow")


def test_a_decorator_of_a_user(folder):
    """A step imports the module of a decorator that a mutator or ``--with`` has given it."""
    (folder / "elsewhere" / "acme_lib" / "__init__.py").write_text(
        "from airflow_conda_flow import user_step_decorator\n"
        "@user_step_decorator\n"
        "def noted(step_name, flow, inputs=None, attributes=None):\n"
        "    yield\n"
    )
    file = folder / "flows" / "a_flow.py"
    file.write_text(IMPORTS + FLOW.format(top="", start="pass", other="pass"))
    definition = read_flow(load_flow_module(file).AFlow)
    definition.attach(["acme_lib.noted"])
    (line,) = lacking_modules(definition, CodeSources.of(definition, ()), {"end": ()})
    assert line.startswith(f"{file}:10: Step end lacks the module acme_lib, ")


def test_steps_that_have_it(folder):
    """Only steps are named whose environment has no such package, and only those with an environment."""
    assert _lines(folder, "import acme_lib", steps=()) == []
    (line,) = _lines(folder, "import acme_lib", steps=("end",))
    assert line.startswith("Step end lacks the module acme_lib,")
    assert _lines(folder, start="import acme_lib", steps=("end",)) == []


@pytest.mark.parametrize(
    "package", ["acme-lib", "Acme_Lib", "channel::acme.lib", "python-acme-lib", "acme_lib[x]"]
)
def test_a_package_of_the_environment(folder, package):
    """What provides the module there may have a name that differs a little."""
    assert _lines(folder, "import acme_lib", packages=(package,)) == []


@pytest.mark.parametrize(
    ("top", "start", "other"),
    [
        ("import json, sys, os.path", "import sqlite3", "pass"),
        ("import airflow_conda_flow.cards", "import airflow_conda_flow", "pass"),
        ("import acme_site, acme_target, pytest", "import acme_site", "pass"),
        ("import acme_space.one, acme_space.two", "pass", "pass"),
        ("import acme_alone", "from acme_alone import two", "pass"),
        ("", "import acme_lib.of_a_library", "pass"),
        ("", "from acme_lib.of_a_library import thing", "pass"),
        ("import acme_zipped", "import acme_zipped", "pass"),
        ("try:\n    import acme_lib\nexcept ImportError:\n    pass", "pass", "pass"),
        ("TYPE_CHECKING = False\nif TYPE_CHECKING:\n    import acme_lib", "pass", "pass"),
        ("def late():\n    import acme_lib", "pass", "import acme_lib"),
        ("import sys\nsys.path.append('x')\nimport acme_lib", "pass", "pass"),
        ("", "import no_such_module", "pass"),
    ],
)
def test_what_steps_may_have(folder, top, start, other):
    """Nothing is said unless it is certain that a step lacks the module."""
    assert _lines(folder, top, start, other) == []


def test_a_library_under_another_name(folder, monkeypatch):
    """An editable install has the name of its distribution."""
    monkeypatch.setattr("importlib.metadata.packages_distributions", lambda: {"acme_lib": ["other-name"]})
    assert _lines(folder, "import acme_lib", packages=("other_name",)) == []
    assert len(_lines(folder, "import acme_lib", packages=("different",))) == 1
