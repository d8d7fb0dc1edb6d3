"""Makes the directory that is the runner, of this machine's Python and of wheels.

    bin/runner      starts it
    python/         the interpreter and its standard library
    lib/            every shared library that these load, libc and its loader too
    site/           our package and its libraries
    runner.py       the first lines

It needs nothing of the image around it but ``/bin/sh``, and works from any place.
Run while the image is built, in two parts that end up in one directory:
``install_runner.py libraries WHEELS TARGET`` and ``install_runner.py package WHEELS TARGET``.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
LEFT_OUT = ("__pycache__", "*-packages", "idlelib", "test", "tests", "turtledemo", "tkinter", "ensurepip")
# Of the services that botocore can speak to, the runner needs those that give objects and credentials.
SERVICES = {"s3", "sts", "sso", "sso-oidc", "signin"}
# Loaded by name when a host is looked up; part of libc itself since glibc 2.34.
LOADED_BY_NAME = ("libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2", "libgcc_s.so.1")


def install_libraries(wheels: Path, target: Path) -> None:
    """Put the interpreter, other people's packages and the shared libraries into ``target``."""
    python = target / "python"
    minor = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    left_out = shutil.ignore_patterns("config-*", *LEFT_OUT)
    shutil.copytree(sysconfig.get_path("stdlib"), python / "lib" / minor, ignore=left_out)
    (python / "bin").mkdir()
    shutil.copy2(os.path.realpath(sys.executable), python / "bin" / "python3")
    unpack(wheels, target / "site")
    trim(target / "site")
    copy_shared_libraries(target)
    compile_modules(target)


def install_package(wheels: Path, target: Path) -> None:
    """Put our own package, and what starts it, into ``target``."""
    unpack(wheels, target / "site")
    (target / "bin").mkdir()
    shutil.copy2(HERE / "runner", target / "bin" / "runner")
    shutil.copy2(HERE / "runner.py", target / "runner.py")
    compile_modules(target)


def unpack(wheels: Path, site: Path) -> None:
    """Put the packages of all wheels in a folder into ``site``."""
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if ".data/scripts/" not in name]
            odd = [name for name in names if ".data/" in name]
            if odd:
                sys.exit(f"{wheel.name} wants {odd[0]} put elsewhere; that is not provided for.")
            archive.extractall(site, names)


def trim(site: Path) -> None:
    """Remove what the runner never loads."""
    for service in (site / "botocore" / "data").iterdir():
        if service.is_dir() and service.name not in SERVICES:
            shutil.rmtree(service)
    shutil.rmtree(site / "boto3" / "examples", ignore_errors=True)
    for other_backend in (site / "zstandard").glob("_cffi.*"):
        other_backend.unlink()


def copy_shared_libraries(target: Path) -> None:
    """Copy every library that the interpreter and the extension modules load, and theirs."""
    lib = target / "lib"
    lib.mkdir()
    binaries = [target / "python" / "bin" / "python3", *target.rglob("*.so")]
    command = ["ldd", *binaries]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    missing = sorted(set(re.findall(r"(\S+) => not found", listed)))
    if missing:
        sys.exit(f"This base lacks shared libraries that the runner needs: {', '.join(missing)}")
    found = {Path(path) for path in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", listed, re.MULTILINE)}
    folder = next(path.parent for path in found if path.name.startswith("libc.so"))
    found |= {folder / name for name in LOADED_BY_NAME if (folder / name).exists()}
    for path in found:
        if target not in path.parents:
            shutil.copy2(os.path.realpath(path), lib / path.name)
    (loader,) = (path for path in found if path.name.startswith(("ld-linux", "ld64")))
    (lib / loader.name).rename(lib / "ld.so")


def compile_modules(target: Path) -> None:
    """Compile every module for good: nobody writes there later, and copies change times."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(target, quiet=2, workers=0, maxlevels=20, invalidation_mode=mode)


if __name__ == "__main__":
    part, wheels, target = sys.argv[1:]
    {"libraries": install_libraries, "package": install_package}[part](Path(wheels), Path(target))
