"""Translation of a wheel's requirements into conda's match specs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from airflow_conda_flow.channel.platform import MACHINE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_conda_flow.channel.interpreters import Interpreter

# Old wheels require versions such as ``>=3.6.*``, which packaging has refused since version 22.
_OLD_WILDCARD = re.compile(r"([<>]=?\s*[0-9.]+?)\.\*")
_ABOUT_PYTHON = re.compile(r"python_version|python_full_version|implementation_version")


def version_spec(specifiers: str) -> str:
    """Conda version spec that allows the same versions as PEP 440 specifiers.

    >>> version_spec("==1.5.*"), version_spec("==1.5"), version_spec(">=1.2,<2,!=1.4.*")
    ('1.5.*', '==1.5', '!=1.4.*,<2,>=1.2')
    """
    parts = []
    for specifier in SpecifierSet(_OLD_WILDCARD.sub(r"\1", specifiers)):
        operator, version = specifier.operator, specifier.version
        if operator == "==" and version.endswith(".*"):
            parts.append(version)
        elif operator in {"==", "==="}:
            parts.append(f"=={version}")
        else:
            parts.append(f"{operator}{version}")
    return ",".join(sorted(parts))


def depends(requirements: Iterable[str], interpreter: Interpreter) -> list[str]:
    """Match specs of the requirements that apply to an interpreter on this platform.

    Requirements of extras are left out, because conda has no extras.
    """
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
    specs = set()
    for text in requirements:
        requirement = Requirement(_OLD_WILDCARD.sub(r"\1", text))
        if requirement.marker is None or requirement.marker.evaluate(environment):
            spec = version_spec(str(requirement.specifier))
            specs.add(f"{canonicalize_name(requirement.name)} {spec}".strip())
    return sorted(specs)


def depend_on_python(requirements: Iterable[str]) -> bool:
    """True if the dependencies differ between versions of Python."""
    # Markers of extras do not count, because ``depends`` leaves extras out.
    markers = (text.partition(";")[2] for text in requirements)
    return any(_ABOUT_PYTHON.search(marker) and "extra" not in marker for marker in markers)


def python_of_minor(interpreter: Interpreter) -> str:
    """Match spec of an interpreter's minor version, such as ``python >=3.11,<3.12.0a0``."""
    # ``.0a0`` excludes the pre-releases of the next version too: they sort before its ``.0``.
    major, minor = interpreter.minor.split(".")
    return f"python >={major}.{minor},<{major}.{int(minor) + 1}.0a0"
