"""Makes the directory that is the runner of containers, of the Python that runs this.

    bin/runner      starts it
    python/         the interpreter and its standard library
    lib/            every shared library that these load, libc and its loader too
    site/           our package and its libraries
    runner.py       the first lines

It needs nothing around it but ``/bin/sh``, and works from any place. Linux with glibc alone.
The standard library alone: the Dockerfile runs this file by itself, in two parts that end up in one
directory, ``self_contained.py libraries WHEELS TARGET`` and ``self_contained.py package WHEELS TARGET``.
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
_LEFT_OUT = (
    *("__pycache__", "*-packages", "config-*", "distutils", "ensurepip", "idlelib", "lib2to3", "pydoc_data"),
    *("test", "tests", "tkinter", "turtle*", "unittest", "venv"),
    # Modules that load libraries of their own, for terminals, windows and databases.
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
# Of the services that botocore can speak to, the runner needs those for objects, secrets and credentials.
_SERVICES = frozenset(["s3", "secretsmanager", "sts", "sso", "sso-oidc", "signin"])
# Loaded by name when a host is looked up; part of libc itself since glibc 2.34.
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
    """Copy every library that the interpreter and the extension modules in ``target`` load, and theirs."""
    lib = target / "lib"
    lib.mkdir()
    binaries = [str(target / "python" / "bin" / "python3"), *map(str, target.rglob("*.so"))]
    command = ["ldd", *binaries]  # part of libc, wherever that is
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
    (loader,) = (path for path in found if path.name.startswith(("ld-linux", "ld64")))
    (lib / loader.name).rename(lib / "ld.so")


def trim(target: Path) -> None:
    """Remove from ``target`` what the runner never loads."""
    site = target / "site"
    for library in ("boto3", "botocore"):
        for service in (site / library / "data").iterdir():
            if service.is_dir() and service.name not in _SERVICES:
                shutil.rmtree(service)
    shutil.rmtree(site / "boto3" / "examples", ignore_errors=True)
    for other_backend in (site / "zstandard").glob("_cffi.*"):
        other_backend.unlink()


def add_start(target: Path) -> None:
    """Write what starts the runner."""
    runner = target / "bin" / "runner"
    runner.parent.mkdir()
    runner.write_text(START, encoding="ascii")
    runner.chmod(0o755)
    (target / "runner.py").write_text(FIRST_LINES, encoding="ascii")


def compile_modules(target: Path) -> None:
    """Compile every module for good: nobody writes there later, and copies change times."""
    command = [sys.executable, "-I", "-m", "compileall", "-q", "-q", "-j", "0"]
    subprocess.run([*command, "--invalidation-mode", "unchecked-hash", target], check=False)


def unpack(wheels: Path, target: Path) -> None:
    """Put the packages of all wheels of a folder into ``target``."""
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if ".data/scripts/" not in name]
            odd = [name for name in names if ".data/" in name]
            if odd:
                raise ValueError(f"{wheel.name} wants {odd[0]} put elsewhere; that is not provided for.")
            archive.extractall(target / "site", names)


def main(part: str, wheels: Path, target: Path) -> None:
    """Make one of the two parts."""
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
