"""Packs an interpreter of this machine as the conda package ``python``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from airflow_conda_flow.channel.conda_archive import CondaPackage, Entry
from airflow_conda_flow.channel.interpreters import Interpreter
from airflow_conda_flow.channel.platform import SUBDIR, platform_fields

_LEFT_OUT = frozenset(
    ["__pycache__", "dist-packages", "idlelib", "site-packages", "test", "turtledemo"]
)
_LEFT_OUT_FILES = frozenset(["sitecustomize.py", "EXTERNALLY-MANAGED"])


def python_package(interpreter: Interpreter) -> CondaPackage:
    """The interpreter as a package: program, standard library, shared library; relocatable.

    System libraries (OpenSSL, libffi, ...) that it is linked to are not in it: the machines that it
    runs on have them as this one does. A distribution's own places for packages (Debian's
    ``dist-packages``) are turned into the prefix's ``site-packages``.
    """
    minor = interpreter.minor
    library = f"lib/python{minor}"
    entries = [
        Entry(f"bin/python{minor}", _program(interpreter), executable=True),
        Entry("bin/python3", link=f"python{minor}"),
        Entry("bin/python", link=f"python{minor}"),
        Entry(f"{library}/site-packages/README.txt", b"Libraries of this environment.\n"),
    ]
    for name, path in _files(interpreter.stdlib):
        entries.append(_stdlib_entry(f"{library}/{name}", path, interpreter))
    shared = interpreter.base_prefix / "lib" / interpreter.shared_library
    if interpreter.shared_library.endswith((".so", ".so.1.0")) and shared.is_file():
        entries.append(Entry(f"lib/{shared.name}", shared.read_bytes(), executable=True))
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
        entries,
    )


def _program(interpreter: Interpreter) -> bytes:
    """The program's bytes, looking for its library beside itself instead of where it was built."""
    path = interpreter.base_prefix / "bin" / f"python{interpreter.minor}"
    data = path.read_bytes()
    built_for = str(interpreter.base_prefix / "lib").encode() + b"\0"
    beside = b"$ORIGIN/../lib\0"
    if len(beside) > len(built_for):
        return data
    return data.replace(built_for, beside.ljust(len(built_for), b"\0"))


def _files(stdlib: Path) -> Iterator[tuple[str, Path]]:
    for folder, folders, files in os.walk(stdlib):
        folders[:] = sorted(
            name for name in folders if name not in _LEFT_OUT and not name.startswith("config-")
        )
        if Path(folder).name in {"tests", "idle_test"}:
            continue
        for name in sorted(files):
            path = Path(folder) / name
            if name not in _LEFT_OUT_FILES and path.is_file() and not name.endswith(".pyc"):
                yield str(path.relative_to(stdlib)), path


def _stdlib_entry(name: str, path: Path, interpreter: Interpreter) -> Entry:
    data = path.read_bytes()
    if path.name == "site.py":
        data = data.replace(b"dist-packages", b"site-packages")
    executable = os.access(path, os.X_OK)
    prefix = str(interpreter.base_prefix)
    if path.name.startswith("_sysconfigdata") and prefix != "/usr":
        return Entry(name, data, executable, placeholder=prefix)
    return Entry(name, data, executable)
