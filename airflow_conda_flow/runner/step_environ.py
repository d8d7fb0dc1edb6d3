"""The environment variables and the command line of a step process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_DROPPED_PREFIXES = ("PYTHON", "CONDA_", "_CONDA_", "_CE_", "MAMBA_")
_DROPPED = frozenset(["VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "__PYVENV_LAUNCHER__", "LD_PRELOAD"])
_C_LOCALES = frozenset(["", "C", "POSIX"])


def conda_environ(environ: Mapping[str, str], prefix: Path) -> dict[str, str]:
    """The variables for a step in a conda environment.

    Whatever leads an interpreter to another's libraries is dropped, so that programs that the step
    starts are as isolated as the step. ``LD_LIBRARY_PATH`` stays: drivers of the machine live there.

    Args:
        environ: the runner's variables.
        prefix: the environment.
    """
    values = {
        name: value
        for name, value in environ.items()
        if name not in _DROPPED and not name.startswith(_DROPPED_PREFIXES)
    }
    values["PATH"] = f"{prefix / 'bin'}:{environ.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"
    values["CONDA_PREFIX"] = str(prefix)
    values["PYTHONNOUSERSITE"] = "1"
    values["PYTHONIOENCODING"] = "utf-8"
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    if locale in _C_LOCALES:
        values["LC_ALL"] = "C.UTF-8"
    return values


def conda_command(prefix: Path, main: Path) -> list[str]:
    """The start of the command line in a conda environment: isolated, and UTF-8 everywhere."""
    return [str(prefix / "bin" / "python"), "-I", "-X", "utf8", str(main)]


def plain_command(python: str, main: Path) -> list[str]:
    """The start of the command line in an interpreter that is not ours to isolate."""
    return [python, str(main)]
