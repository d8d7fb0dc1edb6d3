"""The runner's environment variables that a step in a conda environment sees."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from botocore import credentials

from airflow_conda_flow.runner.runtime_root import runtime_root
from airflow_conda_flow.runner.step_environ import (
    CREDENTIALS,
    conda_command,
    conda_environ,
    without_credentials,
)

PREFIX = Path("/an/environment")


@pytest.mark.parametrize(
    "name",
    [
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "PYTHONDONTWRITEBYTECODE",
        "VIRTUAL_ENV",
        "CONDA_DEFAULT_ENV",
        "CONDA_SHLVL",
        "MAMBA_EXE",
        "LD_PRELOAD",
    ],
)
def test_what_leads_to_other_libraries_is_dropped(name):
    """A variable that makes an interpreter look elsewhere does not reach the step."""
    assert name not in conda_environ({name: "x"}, PREFIX)


@pytest.mark.parametrize("name", ["AWS_PROFILE", "HOME", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES"])
def test_what_a_step_may_need_is_kept(name):
    """The profile, the home directory and where the machine's drivers are stay."""
    assert conda_environ({name: "x"}, PREFIX)[name] == "x"
    assert without_credentials({name: "x"}) == {name: "x"}


def test_no_variable_that_boto3_finds_credentials_by_is_kept():
    """Those of botocore's own providers, except the ones that name a profile or a file of profiles."""
    env, container = credentials.EnvProvider, credentials.ContainerProvider
    role = credentials.AssumeRoleWithWebIdentityProvider
    names = {env.ACCESS_KEY, env.SECRET_KEY, *env.TOKENS, env.EXPIRY_TIME}
    names |= {container.ENV_VAR, container.ENV_VAR_FULL, container.ENV_VAR_AUTH_TOKEN}
    names |= {container.ENV_VAR_AUTH_TOKEN_FILE, *role._CONFIG_TO_ENV_VAR.values()}
    assert names == CREDENTIALS
    assert without_credentials(dict.fromkeys(names, "x")) == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "C.UTF-8"),
        ({"LC_ALL": "C"}, "C.UTF-8"),
        ({"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, "C.UTF-8"),
        ({"LANG": "C"}, "C.UTF-8"),
        ({"LC_ALL": "de_DE.UTF-8"}, "de_DE.UTF-8"),
        ({"LANG": "de_DE.UTF-8"}, None),
    ],
)
def test_no_step_runs_in_ascii(given, expected):
    """The C locale becomes C.UTF-8; any other stays."""
    assert conda_environ(given, PREFIX).get("LC_ALL") == expected


def test_the_environment_comes_first_on_the_path():
    """Programs of the environment win over the machine's."""
    values = conda_environ({"PATH": "/usr/bin"}, PREFIX)
    assert values["PATH"] == "/an/environment/bin:/usr/bin"
    assert values["CONDA_PREFIX"] == "/an/environment"


def _virtual(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").touch()
    return folder / "bin"


def _conda(folder: Path) -> Path:
    (folder / "conda-meta").mkdir(parents=True)
    (folder / "bin").mkdir()
    return folder / "bin"


def _condabin(folder: Path) -> Path:
    _conda(folder)
    (folder / "condabin").mkdir()
    return folder / "condabin"


def _pyenv(folder: Path) -> Path:
    (folder / "versions").mkdir(parents=True)
    (folder / "shims").mkdir()
    return folder / "shims"


@pytest.mark.parametrize("kind", [_virtual, _conda, _condabin, _pyenv])
def test_programs_of_other_environments_are_not_on_the_path(tmp_path, kind):
    """Neither an environment that is activated nor one that is only on PATH answers in a step."""
    own = tmp_path / "tools"
    own.mkdir()
    path = f"{kind(tmp_path / 'other')}:{own}:/usr/bin"
    assert conda_environ({"PATH": path}, PREFIX)["PATH"] == f"{PREFIX}/bin:{own}:/usr/bin"


@pytest.mark.parametrize("folder", [Path(sys.executable).parent, Path(sys.base_prefix) / "bin"])
def test_programs_of_the_launching_python_are_not_on_the_path(folder):
    """The environment that the runner runs in, and the interpreter below it, are other environments too."""
    path = conda_environ({"PATH": f"{folder}:/opt/x:/usr/bin"}, PREFIX)["PATH"].split(":")
    assert path[:2] == [f"{PREFIX}/bin", "/opt/x"]


@pytest.mark.parametrize("path", ["", "nothing else", ":"])
def test_the_system_is_always_on_the_path(tmp_path, path):
    """A PATH of which nothing is left, or that is not set, becomes the system's."""
    path = str(_virtual(tmp_path / "venv")) if path == "nothing else" else path
    assert conda_environ({"PATH": path}, PREFIX)["PATH"] == f"{PREFIX}/bin:/usr/local/bin:/usr/bin:/bin"


def test_a_conda_interpreter_is_isolated(tmp_path):
    """An interpreter started our way has no folder of the caller's on its path, and speaks UTF-8."""
    prefix = tmp_path / "prefix"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    script = tmp_path / "script" / "main.py"
    script.parent.mkdir()
    script.write_text(
        "import json, sys, locale\n"
        "print(json.dumps([sys.path, sys.flags.isolated, sys.stdout.encoding, sys.getfilesystemencoding()]))"
    )
    environ = conda_environ({**os.environ, "PYTHONPATH": str(tmp_path / "leak"), "LC_ALL": "C"}, prefix)
    done = subprocess.run(
        conda_command(prefix, script), env=environ, cwd=tmp_path, capture_output=True, check=True, text=True
    )
    path, isolated, *encodings = json.loads(done.stdout)
    assert isolated == 1
    assert encodings == ["utf-8", "utf-8"]
    assert str(tmp_path / "leak") not in path
    assert not {"", str(tmp_path)} & set(path)


def test_the_runtime_root_holds_what_needs_the_standard_library_alone(tmp_path):
    """Nothing else of this package can be imported from it."""
    root = runtime_root(tmp_path)
    names = {path.name for path in (root / "airflow_conda_flow").iterdir()}
    files = {"__init__.py", "_version.py", "bindings.py", "cards.py", "errors.py", "exception.py"}
    rooms = {"client", "datatools", "flow", "metaflow", "records", "runtime"}
    assert names == files | rooms
    assert [path.name for path in root.iterdir()] == ["airflow_conda_flow"]


def test_the_runtime_root_is_made_once(tmp_path):
    """Whoever comes later, or at the same time, finds it; a removed one is made again."""
    root = runtime_root(tmp_path)
    inode = root.stat().st_ino
    assert runtime_root(tmp_path).stat().st_ino == inode
    shutil.rmtree(root)
    assert (runtime_root(tmp_path) / "airflow_conda_flow").is_dir()
    assert [path.name for path in (tmp_path / "runtime").iterdir()] == [root.name]
