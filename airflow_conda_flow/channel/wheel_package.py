"""Conversion of a wheel into a conda package.

Wheels: https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

import configparser
import csv
import io
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from typing import TYPE_CHECKING, Any

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from airflow_conda_flow.channel.bytecode import with_bytecode
from airflow_conda_flow.channel.conda_archive import CondaPackage, Entry
from airflow_conda_flow.channel.match_specs import (
    depend_on_python,
    depends,
    python_of_minor,
    version_spec,
)
from airflow_conda_flow.channel.platform import SUBDIR, platform_fields
from airflow_conda_flow.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message
    from pathlib import Path

    from airflow_conda_flow.channel.interpreters import Interpreter

# Any text that no script contains by chance: clients replace every occurrence. It is used in text files only,
# where its length does not matter.
_PLACEHOLDER = "/opt/placeholder_" + "p" * 200
_SCRIPT = """#!{prefix}/bin/python
import sys
from {module} import {name}
if __name__ == "__main__":
    sys.exit({call}())
"""


@dataclass(frozen=True)
class _Wheel:
    """Metadata of a wheel, and the places of its files in a package.

    Attributes:
        path: path of the wheel.
        info: name of its ``.dist-info`` directory.
        metadata: content of ``METADATA``.
        scripts: console scripts by name, as ``module:function``.
        pure: True if it works on any platform.
        minor: minor version of the Python that it is converted for, such as ``3.11``.
    """

    path: Path
    info: str
    metadata: Message
    scripts: dict[str, str]
    pure: bool
    minor: str

    @property
    def site(self) -> str:
        """Directory of libraries. In a ``noarch`` package conda clients prepend ``lib/pythonX.Y/``."""
        return "site-packages" if self.pure else f"lib/python{self.minor}/site-packages"

    def place(self, member: str) -> str:
        """Path of a member of the wheel in the package, relative to the prefix.

        Raises:
            PackageError: the member is in a ``.data`` directory of unknown kind.
        """
        top = self.info.removesuffix(".dist-info") + ".data/"
        if not member.startswith(top):
            return f"{self.site}/{member}"
        kind, _, rest = member[len(top) :].partition("/")
        name = self.info.split("-")[0]
        folders = {
            "purelib": self.site,
            "platlib": self.site,
            "scripts": "python-scripts" if self.pure else "bin",
            "headers": f"include/python{self.minor}/{name}",
            "data": "",
        }
        if kind not in folders:
            raise PackageError(f"{self.path.name} has files of an unknown kind: {member}")
        return f"{folders[kind]}/{rest}".lstrip("/")


def wheel_package(path: Path, interpreter: Interpreter) -> CondaPackage:
    """Package of a wheel: ``noarch`` if it is pure, else for the interpreter's minor version.

    A pure wheel whose dependencies differ between versions of Python gives a ``noarch`` package for the
    interpreter's minor version only.

    Raises:
        PackageError: the file is not a wheel. An unknown kind of member raises when the files are read.
    """
    try:
        name, version, _, _ = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise PackageError(f"{path} has no name of a wheel: {error}.") from error
    wheel = _open(path, interpreter)
    required = wheel.metadata.get_all("Requires-Dist") or []
    for_any_python = wheel.pure and not depend_on_python(required)
    requires_python = wheel.metadata.get("Requires-Python") or ""
    python = (
        f"python {version_spec(requires_python)}".strip() if for_any_python else python_of_minor(interpreter)
    )
    index: dict[str, Any] = {
        "name": str(name),
        "version": str(version),
        "build": "py_0" if for_any_python else f"py{interpreter.minor.replace('.', '')}_0",
        "build_number": 0,
        "depends": [python, *depends(required, interpreter)],
        "license": wheel.metadata.get("License-Expression") or "unknown",
    }
    if not wheel.pure:
        index.update(subdir=SUBDIR, **platform_fields())
        return CondaPackage(index, lambda: with_bytecode(_entries(wheel), interpreter))
    index.update(subdir="noarch", noarch="python")
    points = [f"{script} = {target}" for script, target in wheel.scripts.items()]
    link = {"noarch": {"type": "python", "entry_points": points}, "package_metadata_version": 1}
    return CondaPackage(index, lambda: _entries(wheel), link)


def _open(path: Path, interpreter: Interpreter) -> _Wheel:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            metadata_name = next(name for name in names if name.endswith(".dist-info/METADATA"))
            info = metadata_name.partition("/")[0]
            metadata = HeaderParser().parsestr(archive.read(metadata_name).decode("utf-8"))
            wheel = HeaderParser().parsestr(archive.read(f"{info}/WHEEL").decode("utf-8"))
            scripts = _scripts(archive, info)
    except (zipfile.BadZipFile, StopIteration, KeyError) as error:
        raise PackageError(f"{path.name} is not a wheel: {error or 'no METADATA'}") from error
    pure = all(tag.endswith("-any") for tag in wheel.get_all("Tag") or [])
    return _Wheel(path, info, metadata, scripts, pure, interpreter.minor)


def _entries(wheel: _Wheel) -> Iterator[Entry]:
    with zipfile.ZipFile(wheel.path) as archive:
        for member in archive.infolist():
            # The package gets its own INSTALLER; a second one would be listed twice in RECORD.
            if member.is_dir() or member.filename == f"{wheel.info}/INSTALLER":
                continue
            data = archive.read(member)
            if member.filename == f"{wheel.info}/RECORD":
                data = _record(wheel, data)
            yield _entry(wheel.place(member.filename), data, member)
    yield Entry(f"{wheel.site}/{wheel.info}/INSTALLER", b"conda\n")
    # For a noarch package conda clients make the scripts themselves, from link.json.
    if not wheel.pure:
        for script, target in wheel.scripts.items():
            yield _script(script, target)


def _entry(place: str, data: bytes, member: zipfile.ZipInfo) -> Entry:
    if not place.startswith(("bin/", "python-scripts/")):
        return Entry(place, data, bool((member.external_attr >> 16) & 0o111))
    if not data.startswith(b"#!python"):
        return Entry(place, data, executable=True)
    # The wheel specification: installers replace ``#!python`` by the real interpreter.
    rest = data.partition(b"\n")[2]
    data = f"#!{_PLACEHOLDER}/bin/python\n".encode() + rest
    return Entry(place, data, executable=True, placeholder=_PLACEHOLDER)


def _record(wheel: _Wheel, record: bytes) -> bytes:
    """Content of ``RECORD`` with installed paths, for ``importlib.metadata``."""
    rows = []
    for name, *rest in csv.reader(io.StringIO(record.decode("utf-8"))):
        place = wheel.place(name)
        if place.startswith(f"{wheel.site}/"):
            rows.append([place[len(wheel.site) + 1 :], *rest])
        else:
            # Without digest and size, as clients change scripts when they install them.
            installed = place.replace("python-scripts/", "bin/", 1)
            rows.append([f"../../../{installed}", "", ""])
    rows.append([f"{wheel.info}/INSTALLER", "", ""])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _scripts(archive: zipfile.ZipFile, info: str) -> dict[str, str]:
    """Console scripts of the wheel by name, as ``module:function``."""
    try:
        text = archive.read(f"{info}/entry_points.txt").decode("utf-8")
    except KeyError:
        return {}
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    # Names of scripts are case-sensitive; the default makes them lower case.
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    if not parser.has_section("console_scripts"):
        return {}
    return {name: target.split("[")[0].strip() for name, target in parser.items("console_scripts")}


def _script(script: str, target: str) -> Entry:
    module, _, call = target.partition(":")
    name = call.split(".")[0].strip()
    text = _SCRIPT.format(prefix=_PLACEHOLDER, module=module.strip(), name=name, call=call.strip())
    return Entry(f"bin/{script}", text.encode(), executable=True, placeholder=_PLACEHOLDER)
