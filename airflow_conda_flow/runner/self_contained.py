"""Builds the self-contained directory that holds a container's runner, from the Python that runs this file.

    bin/runner      shell script that starts the runner
    python/         the interpreter and its standard library
    lib/            every shared library that these load, including libc and its loader
    site/           our package and its libraries
    runner.py       the Python program that ``bin/runner`` starts

The directory can be moved anywhere and needs only ``/bin/sh`` around it. It works on Linux with glibc only.
This file uses the standard library alone, because the Dockerfile runs it by itself. It does so in two parts,
which share one directory: ``self_contained.py libraries WHEELS TARGET`` makes the large part that seldom
changes, ``self_contained.py package WHEELS TARGET`` the small one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

START = """\
#!/bin/sh
# Starts the runner with the interpreter and the shared libraries beside it, and with nothing of the image
# that it runs in. What it starts itself gets the image's own: no variable is set here.
file=$0
while [ -L "$file" ]; do
  link=$(readlink "$file")
  case $link in /*) file=$link ;; *) file=${file%/*}/$link ;; esac
done
home=$(cd "${file%/*}/.." && pwd)
exec "$home/lib/ld.so" --inhibit-cache --library-path "$home/lib" "$home/python/bin/python3" \\
  -I -S -X utf8 "$home/runner.py" "$@"
"""
FIRST_LINES = """\
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent / "site"))

from airflow_conda_flow.runner.command import run_as_program

run_as_program()
"""
# Parts of the standard library that the runner never imports.
_LEFT_OUT = (
    *("__pycache__", "*-packages", "config-*", "distutils", "ensurepip", "idlelib", "lib2to3", "pydoc_data"),
    *("test", "tests", "tkinter", "turtle*", "unittest", "venv"),
    # Extension modules for terminals, windows and databases: each would bring further shared libraries.
    *(
        "_curses*.so",
        "_dbm*.so",
        "_gdbm*.so",
        "_sqlite3*.so",
        "_test*.so",
        "_tkinter*.so",
        "nis.*.so",
        "readline*.so",
    ),
)
# The runner uses botocore for objects, secrets and credentials only. The descriptions of all the other
# services are most of botocore's size.
_SERVICES = frozenset(["s3", "secretsmanager", "sts", "sso", "sso-oidc", "signin"])
# ``ldd`` does not list these, because libc loads them by name: the NSS modules, which need libresolv, when it
# looks up a host (since glibc 2.34 they are part of libc itself), and libgcc when a thread is cancelled.
_LOADED_BY_NAME = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2", "libgcc_s.so.1")


def add_interpreter(target: Path) -> None:
    """Copy the running interpreter and its standard library into ``target``."""
    python = target / "python"
    minor = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    left_out = shutil.ignore_patterns(*_LEFT_OUT)
    shutil.copytree(sysconfig.get_path("stdlib"), python / "lib" / minor, ignore=left_out)
    (python / "bin").mkdir()
    shutil.copy2(os.path.realpath(sys.executable), python / "bin" / "python3")


def add_shared_libraries(target: Path) -> None:
    """Copy the shared libraries that the binaries in ``target`` load, directly or through each other.

    Raises:
        FileNotFoundError: this machine lacks one of them.
    """
    lib = target / "lib"
    lib.mkdir()
    binaries = [str(target / "python" / "bin" / "python3"), *map(str, target.rglob("*.so"))]
    command = ["ldd", *binaries]  # comes with libc, so it is on every machine that has one
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    missing = sorted(set(re.findall(r"(\S+) => not found", listed)))
    if missing:
        raise FileNotFoundError(f"Shared libraries that the runner needs are not here: {', '.join(missing)}.")
    found = {Path(path) for path in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", listed, re.MULTILINE)}
    folder = next(path.parent for path in found if path.name.startswith("libc.so"))
    found |= {folder / name for name in _LOADED_BY_NAME if (folder / name).exists()}
    for path in found:
        if target not in path.parents:
            shutil.copy2(os.path.realpath(path), lib / path.name)
    # The loader is renamed because its name contains the architecture, which ``START`` must not depend on.
    (loader,) = (path for path in found if path.name.startswith(("ld-linux", "ld64")))
    (lib / loader.name).rename(lib / "ld.so")


def trim(target: Path) -> None:
    """Remove data and modules from ``target`` that the runner never loads."""
    site = target / "site"
    for library in ("boto3", "botocore"):
        for service in (site / library / "data").iterdir():
            if service.is_dir() and service.name not in _SERVICES:
                shutil.rmtree(service)
    shutil.rmtree(site / "boto3" / "examples", ignore_errors=True)
    # zstandard has two backends and prefers the C one, which is there.
    for other_backend in (site / "zstandard").glob("_cffi.*"):
        other_backend.unlink()


def add_start(target: Path) -> None:
    """Write the two files that start the runner: ``bin/runner`` and ``runner.py``."""
    runner = target / "bin" / "runner"
    runner.parent.mkdir()
    runner.write_text(START, encoding="ascii")
    runner.chmod(0o755)
    (target / "runner.py").write_text(FIRST_LINES, encoding="ascii")


def compile_modules(target: Path) -> None:
    """Compile every module to bytecode that is never checked against its source.

    Copying changes a file's time, which would make ordinary bytecode stale; and containers often cannot
    write to the directory, so they would compile again in every process.
    """
    # ``check=False``: one file that does not compile must not prevent the build; importing it would say why.
    command = [sys.executable, "-I", "-m", "compileall", "-q", "-q", "-j", "0"]
    subprocess.run([*command, "--invalidation-mode", "unchecked-hash", target], check=False)


def unpack(wheels: Path, target: Path) -> None:
    """Unpack all wheels of a folder into ``site/`` of ``target``; their scripts are left out.

    Raises:
        ValueError: a wheel has files for places other than site-packages.
    """
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if ".data/scripts/" not in name]
            odd = [name for name in names if ".data/" in name]
            if odd:
                raise ValueError(f"{wheel.name} wants {odd[0]} put elsewhere; that is not provided for.")
            archive.extractall(target / "site", names)


def main(part: str, wheels: Path, target: Path) -> None:
    """Build one of the two parts: ``libraries`` or ``package``."""
    if part == "libraries":
        add_interpreter(target)
        unpack(wheels, target)
        trim(target)
        add_shared_libraries(target)
    else:
        unpack(wheels, target)
        add_start(target)
    compile_modules(target)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
