"""Environment variables and command line of a step process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

# Variables of the interpreter, conda environment or virtual environment that the runner itself runs in.
# ``_CE_CONDA`` and ``_CE_M`` are set by conda's shell functions.
_DROPPED_PREFIXES = ("PYTHON", "CONDA_", "_CONDA_", "_CE_", "MAMBA_")
# ``__PYVENV_LAUNCHER__`` is set by Python's launcher on macOS and leads a child's Python to the runner's
# prefix. A library of ``LD_PRELOAD`` may not fit the environment's own libraries.
_DROPPED = frozenset(["VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "__PYVENV_LAUNCHER__", "LD_PRELOAD"])
# In these locales Python before 3.7 prints ASCII only, and so do many programs that a step starts.
_C_LOCALES = frozenset(["", "C", "POSIX"])


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
    values["PATH"] = f"{prefix / 'bin'}:{environ.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"
    values["CONDA_PREFIX"] = str(prefix)
    values["PYTHONNOUSERSITE"] = "1"
    values["PYTHONIOENCODING"] = "utf-8"
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    if locale in _C_LOCALES:
        values["LC_ALL"] = "C.UTF-8"
    return values


def conda_command(prefix: Path, main: Path) -> list[str]:
    """Start of the command line in a conda environment: Python isolated (``-I``) and in UTF-8 mode."""
    return [str(prefix / "bin" / "python"), "-I", "-X", "utf8", str(main)]


def plain_command(python: str, main: Path) -> list[str]:
    """Start of the command line in the user's own interpreter, which is not isolated.

    A step without an environment sees what the user sees: ``PYTHONPATH`` and the user's site-packages.
    """
    return [python, str(main)]
