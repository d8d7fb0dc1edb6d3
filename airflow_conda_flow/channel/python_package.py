"""Conda package ``python``, made from an interpreter of this machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_conda_flow.channel.bytecode import with_bytecode
from airflow_conda_flow.channel.conda_archive import CondaPackage, Entry
from airflow_conda_flow.channel.platform import SUBDIR, platform_fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_conda_flow.channel.interpreters import Interpreter

# Installed libraries must not come along. Tests and IDLE are large, and no step needs them.
_LEFT_OUT = frozenset(
    ["__pycache__", "dist-packages", "idlelib", "site-packages", "test", "tests", "turtledemo"]
)
# sitecustomize.py is the distribution's own; EXTERNALLY-MANAGED would make pip refuse to install.
_LEFT_OUT_FILES = frozenset(["sitecustomize.py", "EXTERNALLY-MANAGED"])
# Debian's Python installs libraries in dist-packages. In a prefix all of them are in site-packages.
_DISTRIBUTION_PATCHES = {
    "site.py": [(b"dist-packages", b"site-packages")],
    "sysconfig.py": [
        (b"prefix_scheme = 'posix_local'", b"prefix_scheme = 'posix_prefix'"),
        (b"prefix_scheme = 'deb_system'", b"prefix_scheme = 'posix_prefix'"),
    ],
}
_SYSTEM_PREFIX = Path("/usr")


def python_package(interpreter: Interpreter) -> CondaPackage:
    """Relocatable package of an interpreter: program, standard library, shared libraries.

    It contains the shared libraries of the interpreter's own installation. It does not contain those of
    the system (libc, OpenSSL, ...): machines that use the package need the same ones as this machine.
    """
    return CondaPackage(
        {
            "name": "python",
            "version": interpreter.version,
            "build": "0_local",
            "build_number": 0,
            "depends": [],
            "license": "PSF-2.0",
            "subdir": SUBDIR,
            **platform_fields(),
        },
        lambda: with_bytecode(_entries(interpreter), interpreter),
    )


def _entries(interpreter: Interpreter) -> Iterator[Entry]:
    minor = interpreter.minor
    library = f"lib/python{minor}"
    yield Entry(f"bin/python{minor}", _program(interpreter), executable=True)
    yield Entry("bin/python3", link=f"python{minor}")
    yield Entry("bin/python", link=f"python{minor}")
    # Packages hold no empty directories; this file makes site-packages exist.
    yield Entry(f"{library}/site-packages/README.txt", b"Libraries of this environment.\n")
    for name, path in _files(interpreter.stdlib):
        yield _stdlib_entry(f"{library}/{name}", path, interpreter)
    for path in _own_shared_libraries(interpreter):
        yield Entry(f"lib/{path.name}", path.read_bytes(), executable=True)


def _program(interpreter: Interpreter) -> bytes:
    """Bytes of the program, changed to load its library from the prefix it is installed in."""
    path = _program_path(interpreter)
    data = path.read_bytes()
    if interpreter.base_prefix == _SYSTEM_PREFIX:
        # Since Python 3.11 site.py is frozen into the program. Both names have the same length.
        return data.replace(b"dist-packages", b"site-packages")
    # The RPATH may be replaced, but not grow: nothing in the binary may move. ``\0`` ends it early.
    built_for = str(interpreter.base_prefix / "lib").encode() + b"\0"
    beside = b"$ORIGIN/../lib\0"
    if len(beside) > len(built_for):
        return data
    return data.replace(built_for, beside.ljust(len(built_for), b"\0"))


def _program_path(interpreter: Interpreter) -> Path:
    return interpreter.base_prefix / "bin" / f"python{interpreter.minor}"


def _files(stdlib: Path) -> Iterator[tuple[str, Path]]:
    for folder, folders, files in os.walk(stdlib):
        # Changed in place, as os.walk requires. ``config-...`` has a static libpython of many megabytes.
        folders[:] = sorted(
            name for name in folders if name not in _LEFT_OUT and not name.startswith("config-")
        )
        for name in sorted(files):
            path = Path(folder) / name
            if name not in _LEFT_OUT_FILES and path.is_file() and not name.endswith(".pyc"):
                yield str(path.relative_to(stdlib)), path


def _stdlib_entry(place: str, path: Path, interpreter: Interpreter) -> Entry:
    data = path.read_bytes()
    if interpreter.base_prefix == _SYSTEM_PREFIX:
        for old, new in _DISTRIBUTION_PATCHES.get(path.name, []):
            data = data.replace(old, new)
    executable = os.access(path, os.X_OK)
    prefix = str(interpreter.base_prefix)
    # Build settings name the prefix. "/usr" cannot be a placeholder, as other paths contain it: a
    # distribution's Python keeps its settings, which matter only for building extensions.
    if path.name.startswith("_sysconfigdata") and interpreter.base_prefix != _SYSTEM_PREFIX:
        return Entry(place, data, executable, placeholder=prefix)
    return Entry(place, data, executable)


def _own_shared_libraries(interpreter: Interpreter) -> list[Path]:
    """Shared libraries that program and modules load from their own installation; none for ``/usr``."""
    if interpreter.base_prefix == _SYSTEM_PREFIX:
        return []
    lib = interpreter.base_prefix / "lib"
    found = {lib / interpreter.shared_library} if interpreter.shared_library else set()
    binaries = [_program_path(interpreter), *(interpreter.stdlib / "lib-dynload").glob("*.so")]
    listed = subprocess.run(
        ["ldd", *binaries],  # noqa: S607 - part of libc, wherever that is
        capture_output=True,
        text=True,
        check=False,
    )
    for line in listed.stdout.splitlines():
        words = line.split()
        if "=>" in words and words[-2].startswith(f"{lib}/"):
            found.add(Path(words[-2]))
    return sorted(path for path in found if path.is_file() and ".so" in path.name)
