"""Turns a wheel into a conda package.

Wheels: https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

import configparser
import zipfile
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename

from airflow_conda_flow.channel.conda_archive import CondaPackage, Entry
from airflow_conda_flow.channel.interpreters import Interpreter
from airflow_conda_flow.channel.platform import MACHINE, SUBDIR, platform_fields

_PLACEHOLDER = "/opt/placeholder_" + "p" * 200
_SCRIPT = """#!{prefix}/bin/python
import sys
from {module} import {name}
if __name__ == "__main__":
    sys.exit({call}())
"""


def wheel_package(wheel: Path, interpreter: Interpreter) -> CondaPackage:
    """The package of a wheel: ``noarch`` if it is pure, else for the interpreter's minor version."""
    name, version, _, tags = parse_wheel_filename(wheel.name)
    pure = all(tag.platform == "any" for tag in tags)
    with zipfile.ZipFile(wheel) as archive:
        info = next(
            n.split("/")[0] for n in archive.namelist() if n.endswith(".dist-info/METADATA")
        )
        metadata = HeaderParser().parsestr(archive.read(f"{info}/METADATA").decode("utf-8"))
        entry_points = _entry_points(archive, info)
        site = "site-packages" if pure else f"lib/python{interpreter.minor}/site-packages"
        entries = [
            _entry(archive, member, info, site, pure=pure)
            for member in archive.infolist()
            if not member.is_dir() and member.filename != f"{info}/RECORD.jws"
        ]
    entries.append(Entry(f"{site}/{info}/INSTALLER", b"conda\n"))
    abi = interpreter.minor.replace(".", "")
    index = {
        "name": str(name),
        "version": str(version),
        "build": "py_0" if pure else f"py{abi}_0",
        "build_number": 0,
        "depends": [
            _python_dependency(metadata.get("Requires-Python"), interpreter, pure=pure),
            *_dependencies(metadata.get_all("Requires-Dist") or [], interpreter),
        ],
        "license": (metadata.get("License-Expression") or "unknown"),
    }
    if pure:
        index.update(subdir="noarch", noarch="python")
        points = [f"{script} = {target}" for script, target in entry_points.items()]
        link = {
            "noarch": {"type": "python", "entry_points": points},
            "package_metadata_version": 1,
        }
        return CondaPackage(index, entries, link)
    index.update(subdir=SUBDIR, **platform_fields())
    entries.extend(_script(script, target) for script, target in entry_points.items())
    return CondaPackage(index, entries)


def _entry(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, info: str, site: str, *, pure: bool
) -> Entry:
    data = archive.read(member)
    executable = bool((member.external_attr >> 16) & 0o111)
    top = info.removesuffix(".dist-info") + ".data/"
    if not member.filename.startswith(top):
        return Entry(f"{site}/{member.filename}", data, executable)
    kind, _, rest = member.filename[len(top) :].partition("/")
    if kind in {"purelib", "platlib"}:
        return Entry(f"{site}/{rest}", data, executable)
    if kind == "scripts":
        folder = "python-scripts" if pure else "bin"
        if data.startswith(b"#!python"):
            data = f"#!{_PLACEHOLDER}/bin/python".encode() + data[len(b"#!python") :]
            return Entry(f"{folder}/{rest}", data, executable=True, placeholder=_PLACEHOLDER)
        return Entry(f"{folder}/{rest}", data, executable=True)
    folder = {"headers": "include", "data": ""}[kind]
    return Entry(f"{folder}/{rest}".lstrip("/"), data, executable)


def _entry_points(archive: zipfile.ZipFile, info: str) -> dict[str, str]:
    try:
        text = archive.read(f"{info}/entry_points.txt").decode("utf-8")
    except KeyError:
        return {}
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    if not parser.has_section("console_scripts"):
        return {}
    return {name: target.split("[")[0].strip() for name, target in parser.items("console_scripts")}


def _script(script: str, target: str) -> Entry:
    module, _, call = target.partition(":")
    text = _SCRIPT.format(
        prefix=_PLACEHOLDER,
        module=module.strip(),
        name=call.split(".")[0].strip(),
        call=call.strip(),
    )
    return Entry(f"bin/{script}", text.encode(), executable=True, placeholder=_PLACEHOLDER)


def _python_dependency(requires: str | None, interpreter: Interpreter, *, pure: bool) -> str:
    if not pure:
        major, minor = interpreter.minor.split(".")
        return f"python >={major}.{minor},<{major}.{int(minor) + 1}.0a0"
    return f"python {_version_spec(SpecifierSet(requires))}" if requires else "python"


def _dependencies(requirements: list[str], interpreter: Interpreter) -> list[str]:
    environment = {
        "extra": "",
        "implementation_name": "cpython",
        "implementation_version": interpreter.version,
        "os_name": "posix",
        "platform_machine": MACHINE,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": interpreter.version,
        "python_version": interpreter.minor,
        "sys_platform": "linux",
    }
    depends = []
    for text in requirements:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = canonicalize_name(requirement.name)
            depends.append(f"{name} {_version_spec(requirement.specifier)}".strip())
    return sorted(set(depends))


def _version_spec(specifiers: SpecifierSet) -> str:
    """A conda version spec that allows what the PEP 440 specifiers allow."""
    parts = []
    for specifier in specifiers:
        operator, version = specifier.operator, specifier.version
        if operator == "===" or (operator == "==" and not version.endswith(".*")):
            parts.append(f"=={version}")
        elif operator == "==":
            parts.append(version)
        else:
            parts.append(f"{operator}{version}")
    return ",".join(sorted(parts))
