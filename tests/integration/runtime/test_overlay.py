"""Packages that a step installs while it runs are there at once, and nowhere else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from ...parts.attempt_machine import old_python, one_step
from ...parts.tiny_wheel import tiny_wheel

VERSIONS = ["3.6", "3.8", "3.10", "3.13"]  # each with another generation of pip
WAYS = {
    "pip": "os.system('pip install {options} {wheel}')",
    "pip3": "os.system('pip3 install {options} {wheel}')",
    "python -m pip": "os.system('python -m pip install {options} {wheel}')",
    "python3 -m pip": "os.system('python3 -m pip install {options} {wheel}')",
    "sys.executable": "os.system(sys.executable + ' -m pip install {options} {wheel}')",
    "isolated": "os.system(sys.executable + ' -I -m pip install {options} {wheel}')",
    "--user": "os.system('pip install --user {options} {wheel}')",
}
OPTIONS = "-q --no-index"
USE = """
import os, subprocess, sys
self.failed = bool({way})
import tinything
self.version = tinything.__version__
self.file = tinything.__file__
output = dict(universal_newlines=True)
self.program = subprocess.check_output("tinything", **output)
self.child = subprocess.check_output([sys.executable, "-c", "import tinything; print('seen')"], **output)
self.prefix = [sys.prefix, sys.base_prefix]
"""


@pytest.fixture
def wheel(tmp_path) -> Path:
    """A wheel ``tinything`` 1.0."""
    return tiny_wheel(tmp_path / "wheels", "tinything")


def installed(run, way: str, wheel: Path, **options):
    """The result of a step that installs the wheel in that way and uses it."""
    way = way.format(options=OPTIONS, wheel=wheel)
    run = run(one_step(USE.format(way=way)))
    run.manifest["pickle_protocols"] = {"start": 4, "end": 4}
    result = run.done("start", **options)
    assert run.value(result, "failed") is False, run.lines
    assert run.value(result, "version") == "1.0"
    assert run.value(result, "program") == "tinything 1.0\n"
    assert run.value(result, "child") == "seen\n"
    assert not Path(run.value(result, "file")).exists(), "what a step installs is gone afterwards"
    return run, result


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_install(make_run, wheel, way):
    """However a step asks for it, the package is importable at once, its program runs, and it is gone after."""
    installed(make_run, WAYS[way], wheel)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_python(make_run, wheel, version):
    """Every Python that runs steps has it, with the pip of its own, however old."""
    python = old_python(version)
    if python is None:
        pytest.skip("no such interpreter here")
    run, result = installed(make_run, WAYS["pip"], wheel, python=python)
    assert run.value(result, "prefix") == [str(Path(python).parents[1])] * 2
    assert not list(Path(python).parents[1].rglob("tinything*"))


@pytest.fixture(scope="module")
def python_without_pip(tmp_path_factory) -> str:
    """The interpreter of a virtual environment that is not activated, and has no pip."""
    folder = tmp_path_factory.mktemp("without") / "venv"
    venv.create(folder, symlinks=True)
    program = folder / "bin" / "its_program"
    program.write_text("#!/bin/sh\necho of the virtual environment\n")
    program.chmod(0o755)
    (library,) = folder.glob("lib/python*/site-packages")
    (library / "below.py").write_text("__version__ = 'below'\n")
    return str(folder / "bin" / "python")


@pytest.fixture(scope="module")
def python_with_tiny(tmp_path_factory) -> str:
    """The interpreter of a virtual environment that has pip, and ``tinything`` 1.0 and its program."""
    folder = tmp_path_factory.mktemp("with") / "venv"
    venv.create(folder, symlinks=True, with_pip=True)
    python = str(folder / "bin" / "python")
    wheel = tiny_wheel(folder, "tinything")
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-index", wheel], check=True)
    return python


@pytest.mark.parametrize("way", ["pip", "sys.executable", "--user"])
def test_a_virtual_environment(make_run, wheel, python_without_pip, way):
    """A step in one that is not activated installs into its overlay; the virtual environment stays as it was."""
    folder = Path(python_without_pip).parents[1]
    before = sorted(folder.rglob("*"))
    run, result = installed(make_run, WAYS[way], wheel, python=python_without_pip)
    assert run.value(result, "prefix")[0] == str(folder)
    after = [path for path in sorted(folder.rglob("*")) if "__pycache__" not in path.parts]
    assert after == [path for path in before if "__pycache__" not in path.parts]


def test_what_is_below_is_seen(make_run, python_without_pip):
    """Libraries and programs of the step's interpreter are there, also for ``python`` in its shell."""
    run = make_run(
        one_step("""
            import os, subprocess, below
            os.system("python -c 'import below; print(below.__version__)'")
            os.system("its_program")
            subprocess.check_call(["python", "-c", "import sys; print(*(p for p in sys.path if 'packages' in p), sep=chr(10))"])
        """)
    )
    run.done("start", python=python_without_pip)
    below = str(next(Path(python_without_pip).parents[1].glob("lib/python*/site-packages")))
    assert run.printed()[:2] == ["below", "of the virtual environment"]
    overlay, *others = run.printed()[2:]
    assert "/overlay/lib/" in overlay
    assert others == [below], "the libraries below the virtual environment are not the step's"


IN_SHELL = """
import os
os.system({command!r})
import tinything
self.version = tinything.__version__
"""


def test_an_upgrade_shadows(make_run, python_with_tiny, tmp_path):
    """A newer version of a package that is there is the step's; the one below is left alone."""
    newer = tiny_wheel(tmp_path / "wheels", "tinything", "2.0")
    command = f"pip install -U {OPTIONS} {newer} && tinything"
    run = make_run(one_step(IN_SHELL.format(command=command)))
    result = run.done("start", python=python_with_tiny)
    assert run.value(result, "version") == "2.0"
    assert run.printed()[-1] == "tinything 2.0"
    below = [python_with_tiny, "-c", "import tinything; print(tinything.__version__)"]
    assert subprocess.check_output(below, text=True) == "1.0\n"


@pytest.mark.parametrize("command", ["pip uninstall -y tinything", "python -m pip uninstall -y tinything"])
def test_what_is_below_is_not_uninstalled(make_run, python_with_tiny, command):
    """The answer is that the package is of another environment, and leaves it."""
    run = make_run(one_step(IN_SHELL.format(command=command + " 2>&1")))
    assert run.value(run.done("start", python=python_with_tiny), "version") == "1.0"
    assert any("outside environment" in line for line in run.printed())


def test_what_was_installed_is_uninstalled(make_run, wheel):
    """A package of the overlay goes, with its program."""
    run = make_run(
        one_step(f"""
            import os, shutil
            os.system("pip install {OPTIONS} {wheel}")
            print(shutil.which("tinything") is not None)
            os.system("pip list --format freeze; pip uninstall -q -y tinything")
            print(shutil.which("tinything"))
            import tinything
        """)
    )
    assert run.failure("start")["message"] == "No module named 'tinything'"
    assert {"True", "tinything==1.0", "None"} <= set(run.printed())


def test_an_editable_installation(make_run, tmp_path):
    """A directory that a ``.pth`` file adds is importable at once."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "tinysource.py").write_text("x = 7\n")
    run = make_run(
        one_step(f"""
            import os, sys
            libraries = next(p for p in sys.path if os.path.join("overlay", "lib") in p)
            with open(os.path.join(libraries, "__editable__.pth"), "w") as file:
                file.write({str(tmp_path / "source")!r} + chr(10))
            import tinysource
            self.x = tinysource.x
        """)
    )
    assert run.value(run.done("start"), "x") == 7


@pytest.mark.parametrize("kind", ["virtual environment", "3.11"])
def test_pip_as_a_library(make_run, python_with_tiny, kind, tmp_path):
    """``pip.main`` within the step's own process installs into the overlay too."""
    python = python_with_tiny if kind == "virtual environment" else old_python(kind)
    if python is None:
        pytest.skip("no such interpreter here")
    wheel = tiny_wheel(tmp_path, "tinyother")
    run = make_run(
        one_step(f"""
            import pip
            pip.main(["install", "-q", "--no-index", {str(wheel)!r}])
            import tinyother
            self.file = tinyother.__file__
        """)
    )
    assert "/overlay/" in run.value(run.done("start", python=python), "file")
    assert not list(Path(python).parents[1].rglob("tinyother*"))


def test_two_tasks_do_not_meet(make_run, wheel):
    """The next step of the run does not have what the one before it installed."""
    text = one_step(f"import os; os.system('pip install {OPTIONS} {wheel}'); import tinything")
    run = make_run(text.replace("        pass", "        import tinything"))
    run.done("start")
    assert run.failure("end")["message"] == "No module named 'tinything'"


def test_two_installations_at_once(make_run, python_without_pip, tmp_path):
    """Several at once all arrive, also where each of them finds no pip and unpacks one."""
    names = ["tinyone", "tinytwo", "tinythree"]
    wheels = [str(tiny_wheel(tmp_path / "wheels", name)) for name in names]
    run = make_run(
        one_step(f"""
            import subprocess
            command = "pip install {OPTIONS} %s"
            started = [subprocess.Popen(command % each, shell=True) for each in {wheels!r}]
            self.codes = [each.wait() for each in started]
            import tinyone, tinytwo, tinythree
        """)
    )
    assert run.value(run.done("start", python=python_without_pip), "codes") == [0, 0, 0]


def test_a_virtual_environment_that_the_step_makes(make_run, wheel):
    """Its own pip installs into it, not into the overlay."""
    run = make_run(
        one_step(f"""
            import os, subprocess, sys
            folder = os.path.join(current.tempdir, "own")
            subprocess.check_call([sys.executable, "-m", "venv", folder])
            subprocess.check_call([folder + "/bin/pip", "install", "-q", "--no-index", {str(wheel)!r}])
            self.output = subprocess.check_output([folder + "/bin/tinything"], universal_newlines=True)
            import tinything
        """)
    )
    assert run.failure("start")["message"] == "No module named 'tinything'"


def test_installing_elsewhere(make_run, wheel):
    """``--target`` names another place, as always."""
    run = make_run(
        one_step(f"""
            import os, sys
            self.code = os.system("pip install {OPTIONS} --target vendored {wheel}")
            sys.path.insert(0, "vendored")
            import tinything
            self.file = tinything.__file__
        """).replace("import os, sys", "import os, sys; os.chdir(current.tempdir)")
    )
    assert run.value(run.done("start"), "file").endswith("vendored/tinything.py")


def test_uv(make_run, wheel):
    """Packages that uv installs arrive in the overlay as well."""
    if not shutil.which("uv", path=str(Path(sys.executable).parent)):
        pytest.skip("no uv beside this interpreter")
    installed(make_run, "os.system('uv pip install -q --offline --no-index {wheel}')", wheel)


def test_settings_for_another_python_do_not_count(make_run, wheel, monkeypatch, tmp_path):
    """Variables by which an image sends pip and uv to its own Python do not reach the step's."""
    for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PIP_PYTHON", "/nonexistent")
    monkeypatch.setenv("UV_SYSTEM_PYTHON", "1")
    installed(make_run, WAYS["pip"], wheel)
    assert not list(tmp_path.glob("PIP_*"))


def test_nothing_to_unpack_pip_from(make_run, python_without_pip, tmp_path):
    """Without pip and without ensurepip one line says how to declare what is needed."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['ensurepip'] = None\n")
    run = make_run(
        one_step(f"""
            import os
            os.environ["PYTHONPATH"] = {str(tmp_path)!r}
            self.code = os.waitstatus_to_exitcode(os.system("pip install x"))
        """)
    )
    assert run.value(run.done("start", python=python_without_pip), "code") == 1
    (line,) = run.printed("stderr")
    assert line.startswith("There is no pip in this step's environment")
    assert "@pypi(packages={...})" in line


def test_undeclared_pip_is_no_library(make_run, python_without_pip):
    """A step whose environment has no pip cannot import one, nor can its children."""
    run = make_run(
        one_step("""
            import subprocess
            done = subprocess.run(["python", "-c", "import pip"], stderr=subprocess.PIPE, text=True)
            self.said = done.stderr.splitlines()[-1]
            import pip
        """)
    )
    assert run.failure("start", python=python_without_pip)["message"] == "No module named 'pip'"


NESTED = """
from airflow_conda_flow import FlowSpec, step

class Inner(FlowSpec):
    @step
    def start(self):
        import os
        print("code", os.system("python -c 'import pytest, tinything'"))
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    Inner()
"""


def test_a_flow_that_a_step_runs(make_run, wheel, tmp_path):
    """Its steps see what the outer step sees and has installed."""
    (tmp_path / "inner.py").write_text(NESTED)
    run = make_run(
        one_step(f"""
            import os, subprocess, sys
            os.system("pip install {OPTIONS} {wheel}")
            os.environ["HOME"] = current.tempdir
            subprocess.check_call([sys.executable, {str(tmp_path / "inner.py")!r}, "run"])
        """)
    )
    run.done("start")
    assert any(line.endswith("] code 0") for line in run.printed()), run.printed()


def test_the_real_user_site_stays_visible(make_run, monkeypatch, tmp_path):
    """A plain step of an interpreter with user site-packages sees them, and so does its shell's ``python``."""
    python = old_python("3.11")
    if python is None:
        pytest.skip("no such interpreter here")
    library = tmp_path / "base" / "lib" / "python3.11" / "site-packages"
    library.mkdir(parents=True)
    (library / "of_the_user.py").write_text("x = 1\n")
    monkeypatch.setenv("PYTHONUSERBASE", str(tmp_path / "base"))
    command = "import os; import of_the_user; self.code = os.system('python -c \"import of_the_user\"')"
    run = make_run(one_step(command))
    assert run.value(run.done("start", python=python), "code") == 0
