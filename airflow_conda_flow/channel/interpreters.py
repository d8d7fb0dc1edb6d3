"""Python interpreters of this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from airflow_conda_flow.errors import SettingError

# Other implementations print nothing, which is not JSON.
_ASK = (
    "import json, platform, sys, sysconfig;"
    "print(json.dumps([platform.python_version(), sys.base_prefix,"
    " sysconfig.get_path('stdlib'), sysconfig.get_config_var('INSTSONAME') or ''])"
    " if sys.implementation.name == 'cpython' else '')"
)


@dataclass(frozen=True)
class Interpreter:
    """A CPython interpreter on this machine.

    Attributes:
        executable: path of the program.
        version: version such as ``3.11.7``.
        base_prefix: directory of the installation; for a virtual environment, that of its base interpreter.
        stdlib: directory of the standard library.
        shared_library: file name of ``libpython``, which is static if it ends in ``.a``; empty if unknown.
    """

    executable: Path
    version: str
    base_prefix: Path
    stdlib: Path
    shared_library: str

    @property
    def minor(self) -> str:
        """Minor version, such as ``3.11``."""
        return ".".join(self.version.split(".")[:2])


def find_interpreter(wanted: str) -> Interpreter:
    """Interpreter of a version such as ``3.11`` or ``3.11.7``; the running one is preferred.

    Raises:
        SettingError: there is no such interpreter; the message lists those that were found.
    """
    found = []
    for path in _candidates(wanted):
        interpreter = inspect(path)
        if interpreter is None:
            continue
        if interpreter.version == wanted or interpreter.version.startswith(f"{wanted}."):
            return interpreter
        found.append(interpreter.version)
    known = ", ".join(sorted(set(found), key=_version_key)) or "none"
    raise SettingError(
        f"There is no Python {wanted} on this machine. Found: {known}. "
        "Install it, or name an interpreter with --python-from PATH."
    )


def inspect(path: Path) -> Interpreter | None:
    """Description of an interpreter; None if it does not run or is not CPython."""
    try:
        # A start of Python takes far less than 30 s; without a limit a program that hangs would block us.
        answer = subprocess.run(
            [path, "-I", "-c", _ASK], capture_output=True, text=True, check=True, timeout=30
        )
        version, base_prefix, stdlib, library = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Interpreter(path, version, Path(base_prefix), Path(stdlib), library)


def _candidates(wanted: str) -> list[Path]:
    minor = ".".join(wanted.split(".")[:2])
    home = Path.home()
    folders = [
        Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions",
        Path(os.environ.get("UV_PYTHON_INSTALL_DIR", home / ".local/share/uv/python")),
    ]
    # /usr/bin is searched too, because on PATH a virtual environment may hide the system's interpreter.
    paths = [Path(sys.executable)]
    for folder in folders:
        paths.extend(sorted(folder.glob("*/bin/python3"), reverse=True))
    for name in (f"python{minor}", "python3"):
        on_path = shutil.which(name)
        paths.extend([Path(on_path)] if on_path else [])
        paths.append(Path("/usr/bin") / name)
    # Starting an interpreter takes time: the running one and those with the version in their path go first.
    existing = [path for path in dict.fromkeys(paths) if path.exists()]
    return sorted(existing, key=lambda path: minor not in str(path) and path != paths[0])


def _version_key(version: str) -> list[int]:
    return [int("".join(c for c in part if c.isdigit()) or 0) for part in version.split(".")]
