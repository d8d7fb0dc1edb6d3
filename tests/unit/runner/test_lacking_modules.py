"""Modules that a flow imports here and that its steps lack: each is named, and nothing else is."""

from __future__ import annotations

import importlib
import importlib.util
import json
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
        archive.writestr("acme_zipped_package/__init__.py", "")
        archive.writestr("acme_zipped_package/part.py", "")
        archive.writestr("acme_zipped_space/", "")
        archive.writestr("acme_zipped_space/part.py", "")
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    # Without the libraries that are installed: reading what all of them provide takes half a second.
    others = [each for each in sys.path if "site-packages" not in each]
    monkeypatch.setattr(sys, "path", [*(str(tmp_path / each) for each in FOLDERS), *others])
    sys.path.append(str(tmp_path / "archive.zip"))
    importlib.invalidate_caches()
    return tmp_path


def _lines(
    folder: Path,
    top="",
    start="pass",
    other="pass",
    packages=(),
    named=(),
    steps=("start", "end"),
    flow=FLOW,
):
    """Lines about a flow, each without its place."""
    file = folder / "flows" / "a_flow.py"
    file.write_text(IMPORTS + flow.format(top=top, start=start, other=other))
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
        ("", "import beside", "acme_lib", "elsewhere/acme_lib"),
        ("", "from package import inner", "acme_tool", "elsewhere/acme_tool.py"),
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


@pytest.mark.parametrize("name", ["Base", "AFlow"])
def test_a_step_that_is_replaced(folder, name):
    """It never runs: a class overrides it, or another class has the name."""
    base = f"class {name}(FlowSpec):\n    @step\n    def start(self):\n        import acme_lib\n"
    base += "        self.next(self.end)\n"
    assert _lines(folder, base) == []
    overridden = FLOW.replace("(FlowSpec)", f"({name})")
    assert _lines(folder, base, flow=overridden) == []
    start = "    @step\n    def start(self):\n        {start}\n        self.next(self.end)\n"
    assert start in overridden
    (line,) = _lines(folder, base, flow=overridden.replace(start, ""))
    assert line.startswith("Step start lacks the module acme_lib, ")


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
    """The package that provides the module there may have a name that differs a little."""
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
        ("", "from acme_zipped_package.of_a_library import thing", "pass"),
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


@pytest.mark.parametrize(
    "before",
    [
        "return",
        "raise ValueError(self)",
        "raise SystemExit",
        "sys.exit()",
        "os._exit(1)",
        "exit(2)",
        "if self: return",
        "for each in self: return",
        "if self: raise ValueError\n        else: raise KeyError",
        "with self: raise ValueError",
        "try: return\n        finally: pass",
    ],
)
def test_what_is_not_reached(folder, before):
    """An import after a statement that always or sometimes leaves the step is not certain."""
    assert _lines(folder, start=f"{before}\n        import acme_lib") == []
    assert len(_lines(folder, start=f"import acme_lib\n        {before}")) == 1


@pytest.mark.parametrize(
    "before",
    [
        "if not self: raise ValueError",
        "def inner(): return 1",
        "made = lambda: exit()",
        "for each in self: break",
        "exit",
        "with self: pass",
    ],
)
def test_what_is_reached(folder, before):
    """Errors of a condition, functions inside and loops do not end a step."""
    assert len(_lines(folder, start=f"{before}\n        import acme_lib")) == 1


@pytest.mark.parametrize(
    ("start", "other"),
    [
        ("subprocess.run([sys.executable, '-m', 'pip', 'install', 'acme-lib'])", "pass"),
        ("subprocess.run([\n'pip3',\n'--quiet',\n'install', 'x'])", "pass"),
        ("os.system('conda install --yes acme-lib')", "pass"),
        ("os.system('uv pip install acme-lib')", "pass"),
        ("os.system('micromamba install acme-lib')", "pass"),
        ("pip.main(['install', 'acme-lib'])", "pass"),
        ("os.system('''\ncd x\npip install acme-lib\n''')", "pass"),
        ("self.other()", "os.system('pip install acme-lib')"),
    ],
)
def test_a_flow_that_installs(folder, start, other):
    """It may install the module."""
    assert _lines(folder, start=f"{start}\n        import acme_lib", other=other) == []


@pytest.mark.parametrize("call", ["late.get()", "package.late.get()", "package.inner.get()"])
def test_a_module_that_installs(folder, call):
    """Also one that only a step imports, by itself or by another module."""
    (folder / "elsewhere" / "acme_tool.py").unlink()
    (folder / "flows" / "package" / "inner.py").write_text(
        "def get():\n    from . import late\n    late.get()"
    )
    for late in ("late.py", "package/late.py"):
        (folder / "flows" / late).write_text("import os\ndef get():\n    os.system('pip install acme-lib')")
    assert _lines(folder, start=f"import {call.rpartition('.')[0]}\n        import acme_lib") == []
    assert len(_lines(folder, start="import package\n        import acme_lib")) == 1


@pytest.mark.parametrize(
    "top",
    [
        "# pip install acme-lib, and no sys.path",
        "'pip install acme-lib'",
        "def f():\n    'Needs pip install acme-lib in sys.path.'",
        "def f():\n    raise ImportError('pip install acme-lib')",
        "conda = 1\ndef install(): pass",
    ],
)
def test_a_flow_that_advises_to_install(folder, top):
    """Comments, docstrings and errors install nothing."""
    assert len(_lines(folder, f"{top}\nimport acme_lib")) == 1


@pytest.mark.parametrize(
    ("top", "name"),
    [
        ("import acme_zipped", "acme_zipped.py"),
        ("import acme_zipped_package", "acme_zipped_package"),
        ("from acme_zipped_package import part", "acme_zipped_package"),
        ("import acme_zipped_package.part", "acme_zipped_package"),
        ("import acme_zipped_space.part", "acme_zipped_space"),
    ],
)
def test_a_module_in_an_archive(folder, top, name):
    """The setting cannot name it."""
    (line,) = _lines(folder, f"import acme_lib\n{top}", named=("acme_lib",))
    archive = folder / "archive.zip"
    assert f"lack the module {name.removesuffix('.py')}, which is imported from {archive}/{name} here" in line
    assert line.endswith(
        f". Unpack {archive} in {folder / 'flows'}, or declare what provides it with @conda or @pypi."
    )


@pytest.mark.parametrize("name", ["this", "antigravity", "chunk"])
@pytest.mark.parametrize("is_package", [False, True])
def test_a_module_with_a_name_of_python(folder, monkeypatch, name, is_package):
    """Steps import the standard library's."""
    file = folder / "elsewhere" / (f"{name}/__init__.py" if is_package else f"{name}.py")
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    monkeypatch.setattr(sys, "stdlib_module_names", {*sys.stdlib_module_names, name})  # some are removed
    (line,) = _lines(folder, start=f"import {name}", packages=(name,))
    assert line == (
        f"Step start imports another module {name}: that of Python's standard library, and not "
        f"{file.parent if is_package else file}, which is imported here. Rename it."
    )
    (line,) = _lines(folder, f"import {name}")
    assert line.startswith(f"Steps start, end import another module {name}: ")
    file.rename(folder / "flows" / "beside_it.py")
    (folder / "flows" / f"{name}.py").write_text("")
    importlib.invalidate_caches()
    assert _lines(folder, f"import {name}") == []


class MarkingFinder:
    """Finder of an editable install, with its marker instead of a directory, or after it."""

    def __init__(self, name: str, origin: Path | None, places: list[str]) -> None:
        self.spec = importlib.util.spec_from_loader(name, None, is_package=True)
        self.spec.submodule_search_locations = places
        if origin is not None:
            self.spec.origin, self.spec.has_location = str(origin), True

    def find_spec(self, name, *_more):
        """The spec, for that name."""
        return self.spec if name == self.spec.name else None


@pytest.mark.parametrize("is_namespace", [True, False])
def test_markers_of_editable_installs(folder, monkeypatch, is_namespace):
    """They are no directories of a package: the line is right, and the setting that it advises is taken."""
    package = folder / "project" / "acme_marked"
    (package / "part").mkdir(parents=True)
    (package / "part" / "__init__.py").write_text("")
    places = [str(package), "__editable__.acme_marked-1.0.finder.__path_hook__"]  # as setuptools does
    if not is_namespace:
        (package / "__init__.py").write_text("")
        (folder / "_loader.py").write_text("")
        places = [str(folder / "_loader.py" / "acme_marked")]  # as meson-python does
    finder = MarkingFinder("acme_marked", None if is_namespace else package / "__init__.py", places)
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    text = "import acme_marked.part"
    (line,) = _lines(folder, start=text)
    assert line.startswith(
        f"Step start lacks the module acme_marked, which is imported from {package} here: "
    )
    assert "(CONDA_FLOW_PACKAGE_MODULES=acme_marked)" in line
    assert _lines(folder, start=text, named=("acme_marked",)) == []


def test_a_library_under_another_name(folder, monkeypatch):
    """An editable install of setuptools says which modules it has."""
    monkeypatch.setattr("importlib.metadata.packages_distributions", lambda: {"acme_lib": ["other-name"]})
    assert _lines(folder, "import acme_lib", packages=("other_name",)) == []
    assert len(_lines(folder, "import acme_lib", packages=("different",))) == 1


@pytest.mark.parametrize("how", ["direct_url.json", "_editable_impl_other_name.pth", "other_name.pth"])
def test_an_editable_install_without_names_of_modules(folder, how):
    """As of hatchling, Poetry and flit: it is the one whose directory has the module."""
    site = folder / "venv" / "site-packages"
    metadata = site / "other_name-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: other-name\nVersion: 1.0\n")
    if how.endswith(".pth"):
        (site / how).write_text(f"import acme_nothing\n{folder / 'elsewhere'}\n")
        (metadata / "RECORD").write_text(f"{how},sha256=x,1\nother_name-1.0.dist-info/METADATA,,\n")
    else:
        url = (folder / "elsewhere").as_uri()
        (metadata / how).write_text(json.dumps({"url": url, "dir_info": {"editable": True}}))
    importlib.invalidate_caches()
    assert _lines(folder, "import acme_lib", packages=("other_name",)) == []
    assert _lines(folder, "import acme_tool", packages=("other_name",)) == []
    assert len(_lines(folder, "import acme_lib", packages=("different",))) == 1
    (folder / "second" / "acme_second.py").write_text("")
    assert len(_lines(folder, "import acme_second", packages=("other_name",))) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"dir_info": {"editable": true}}', '{"dir_info": 1}'])
def test_a_note_of_an_install_that_is_damaged(folder, text):
    """It says nothing."""
    metadata = folder / "venv" / "site-packages" / "other_name-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: other-name\n")
    (metadata / "direct_url.json").write_text(text)
    (metadata / "RECORD").write_text("gone.pth,,\n")
    assert len(_lines(folder, "import acme_lib", packages=("other_name",))) == 1


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("cv2", "opencv"),
        ("cv2", "opencv-python-headless"),
        ("cv2", "py-opencv"),
        ("sklearn", "scikit-learn"),
        ("skimage", "scikit-image"),
        ("yaml", "pyyaml"),
        ("PIL", "pillow"),
        ("bs4", "beautifulsoup4"),
        ("dateutil", "python-dateutil"),
        ("attr", "attrs"),
        ("google", "google-cloud-storage"),
        ("google", "protobuf"),
        ("git", "gitpython"),
        ("OpenSSL", "pyopenssl"),
        ("Crypto", "pycryptodome"),
        ("osgeo", "libgdal"),
    ],
)
def test_a_copy_of_a_library(folder, monkeypatch, module, package):
    """The environment's package of a well-known library has another name."""
    monkeypatch.setattr("importlib.metadata.packages_distributions", dict)
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        sys.modules.pop(name)
    copy = folder / "flows" / ".." / "elsewhere" / module
    copy.mkdir()
    (copy / "__init__.py").write_text("")
    importlib.invalidate_caches()
    assert _lines(folder, start=f"import {module}", packages=(package,)) == []
    assert len(_lines(folder, start=f"import {module}", packages=("six",))) == 1
