"""Environment variables and command line of a step process."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Variables of the interpreter, conda environment or virtual environment that the runner itself runs in.
# ``_CE_CONDA`` and ``_CE_M`` are set by conda's shell functions.
_DROPPED_PREFIXES = ("PYTHON", "CONDA_", "_CONDA_", "_CE_", "MAMBA_")
# ``__PYVENV_LAUNCHER__`` is set by Python's launcher on macOS and leads a child's Python to the runner's
# prefix. A library of ``LD_PRELOAD`` may not fit the environment's own libraries.
_DROPPED = frozenset(["VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "__PYVENV_LAUNCHER__", "LD_PRELOAD"])
# In these locales Python before 3.7 prints ASCII only, and so do many programs that a step starts.
_C_LOCALES = frozenset(["", "C", "POSIX"])
# Where boto3 looks for credentials in environment variables: keys, and what a role gives them by. Those that
# name a profile or its file stay: they hold none, and without them another profile would be used.
CREDENTIALS = frozenset(
    [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_SECURITY_TOKEN",
        "AWS_CREDENTIAL_EXPIRATION",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    ]
)
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
# The machine's own programs, also where the runner's interpreter is one of them.
_SYSTEM = frozenset(
    ["/bin", "/sbin", *(f"/usr{local}/{name}" for local in ("", "/local") for name in ("bin", "sbin"))]
)
# Files that a virtual environment, and a conda environment, has beside its ``bin`` or ``condabin``.
_MARKS = ("pyvenv.cfg", "conda-meta")


def conda_environ(environ: Mapping[str, str], prefix: Path) -> dict[str, str]:
    """Environment variables for a step in a conda environment.

    Variables that make an interpreter load another one's libraries are dropped, so that programs which the
    step starts are as isolated as the step. ``LD_LIBRARY_PATH`` is kept: it leads to the machine's drivers.

    Args:
        environ: the runner's variables.
        prefix: root directory of the environment.
    """
    values = {
        name: value
        for name, value in environ.items()
        if name not in _DROPPED and not name.startswith(_DROPPED_PREFIXES)
    }
    values["PATH"] = os.pathsep.join([str(prefix / "bin"), *_outside(environ.get("PATH") or _SYSTEM_PATH)])
    values["CONDA_PREFIX"] = str(prefix)
    values["PYTHONNOUSERSITE"] = "1"
    values["PYTHONIOENCODING"] = "utf-8"
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    if locale in _C_LOCALES:
        values["LC_ALL"] = "C.UTF-8"
    return values


def _outside(path: str) -> list[str]:
    """Directories of a ``PATH`` that belong to no Python environment, whether it is activated or not.

    A program of another environment would answer where the step's has none of that name, with libraries that
    the step did not declare. Without any directory left, those of the system.
    """
    kept = [each for each in path.split(os.pathsep) if each and not _is_of_python(Path(each))]
    return kept or _SYSTEM_PATH.split(os.pathsep)


def _is_of_python(folder: Path) -> bool:
    if str(folder) in _SYSTEM:
        return False
    if folder == Path(sys.executable).parent or folder.resolve() == Path(sys.base_prefix).resolve() / "bin":
        return True
    if any((folder.parent / mark).exists() for mark in _MARKS):
        return True
    # Of pyenv: each of these programs is that of the version of Python that pyenv chooses.
    return folder.name == "shims" and (folder.parent / "versions").is_dir()


def without_credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment variables without those by which boto3 finds credentials.

    https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
    """
    return {name: value for name, value in environ.items() if name not in CREDENTIALS}


def conda_command(prefix: Path, main: Path) -> list[str]:
    """Start of the command line in a conda environment: Python isolated (``-I``) and in UTF-8 mode."""
    return [str(prefix / "bin" / "python"), "-I", "-X", "utf8", str(main)]


# Below the ports that Linux gives to outgoing connections (32768 and up), above those of known services.
_FIRST_PORT, _PORTS = 20000, 10000


def torch_environ(attributes: Mapping[str, Any], parallel: Mapping[str, Any], run_id: str) -> dict[str, str]:
    """Environment variables by which the nodes of a gang find each other in ``torch.distributed``.

    Without ``master_port`` the port follows from the run and the main node's task, so that all nodes agree,
    and that two gangs on one machine rarely meet.

    Args:
        attributes: those of ``@pytorch_parallel``.
        parallel: values of ``current.parallel``.
        run_id: id of the run.
    """
    main = hashlib.sha256(f"{run_id}/{parallel['control_task_id']}".encode()).digest()
    port = attributes["master_port"] or _FIRST_PORT + int.from_bytes(main[:4], "big") % _PORTS
    return {
        "MASTER_ADDR": str(parallel["main_ip"]),
        "MASTER_PORT": str(port),
        "NODE_RANK": str(parallel["node_index"]),
        "NUM_NODES": str(parallel["num_nodes"]),
        "WORLD_SIZE": str(parallel["num_nodes"]),
    }


def plain_command(python: str, main: Path) -> list[str]:
    """Start of the command line in the user's own interpreter, which is not isolated.

    A step without an environment sees what the user sees: ``PYTHONPATH`` and the user's site-packages.
    """
    return [python, str(main)]
