"""``@conda``, ``@pypi`` and their ``_base`` forms: the environment that a step asks for, and their merge.

Libraries are pinned exactly, because a range would be another environment next month.
"""

import os
import re

from airflow_conda_flow.flow.decorators.base import (
    Decorator,
    FlowDecorator,
    StepDecorator,
    decorator_function,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from airflow_conda_flow.flow.decorators.attribute_values import Flag, Text
    from airflow_conda_flow.flow.decorators.base import FlowClass, Method
    from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue

    _Pins = Mapping[str, str] | DelayedValue | None

_NAME = re.compile(r"^([A-Za-z0-9_.:/+-]+::)?[A-Za-z0-9_][A-Za-z0-9_.-]*$")
_VERSION = re.compile(r"^(\d+!)?\d[A-Za-z0-9_.]*(\+[A-Za-z0-9_.]+)?$")
_PYTHON = re.compile(r"^\d+\.\d+\.\d+([a-z]+\d+)?$")
_PYPI_NAME = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(\[[A-Za-z0-9._, -]+\])?$")
_PYPI_VERSION = re.compile(r"^(\d+!)?\d[A-Za-z0-9.]*(\+[A-Za-z0-9.]+)?$")


class _EnvironmentAttributes(Decorator):
    """What the four decorators have in common: pinned names, Python, disabled."""

    name_pattern = _NAME
    version_pattern = _VERSION
    name_form = '"pandas", or "channel::name"'
    spelling = "libraries"

    def check(self) -> None:
        """Raise unless every library is pinned exactly and Python is a full version."""
        merged: "dict[str, str]" = {}
        given: "dict[str, str]" = {}
        for spelling in ("libraries", "packages"):
            for name, version in self._mapping(spelling).items():
                self._check_library(name, version)
                key = library_key(name)
                if given.setdefault(key, version) != version:
                    self.fail(
                        "@%s gives %r twice, as %r and %r; keep one." % (self.name, key, given[key], version)
                    )
                merged[name] = version
        self.attributes[self.spelling] = merged
        self._check_python(self.attributes["python"])
        disabled = self.attributes["disabled"]
        if disabled is not None and not isinstance(disabled, bool):
            self.fail("@%s: disabled is %r; write True or False." % (self.name, disabled))

    def _mapping(self, spelling: str) -> "dict[str, str]":
        value = self.attributes.get(spelling)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.fail(
                '@%s: %s is %r; write a dict of names and versions, such as {"pandas": "2.2.3"}.'
                % (self.name, spelling, value)
            )
        return dict(value)

    def _check_library(self, name: "Any", version: "Any") -> None:
        if not isinstance(name, str) or not self.name_pattern.match(name):
            self.fail(
                "@%s: %r is not the name of a library. Write a name such as %s."
                % (self.name, name, self.name_form)
            )
        if library_key(name) == "python":
            self.fail(
                '@%s: the version of Python has its own attribute. Write python="%s".' % (self.name, version)
            )
        if not isinstance(version, str):
            self.fail(
                '@%s: the version of %r is %r, not a string. Write {"%s": "%s"}.'
                % (self.name, name, version, name, version or "1.2.3")
            )
        if not self.version_pattern.match(version):
            self.fail(
                "@%s: %r is pinned to %r; a library is pinned to exactly one version. "
                'Write {"%s": "%s"}.' % (self.name, name, version, name, _exact(version))
            )

    def _check_python(self, python: "Any") -> None:
        if python is None:
            return
        if isinstance(python, str) and _PYTHON.match(python):
            if tuple(int(part) for part in python.split(".")[:2]) < (3, 6):
                self.fail("@%s: python is %r; steps run on Python 3.6 and later." % (self.name, python))
            return
        self.fail(
            "@%s: python is %r; write all three numbers of one version as a string, "
            'such as python="3.11.7".' % (self.name, python)
        )


class _CondaAttributes(_EnvironmentAttributes):
    """What ``@conda`` and ``@conda_base`` take."""

    spelling = "libraries"
    defaults: "dict[str, Any]" = {
        "libraries": None,
        "packages": None,
        "python": None,
        "disabled": None,
        "file": None,
    }

    def check(self) -> None:
        """Raise also if ``file`` is not the name of a file; whether it is there is asked later."""
        super().check()
        file = self.attributes["file"]
        if file is not None and (not isinstance(file, str) or not file):
            self.fail(
                "@%s: file is %r; write the name of an environment.yml, an explicit spec file or a "
                "pixi.lock, as seen from the flow file." % (self.name, file)
            )

    @property
    def path(self) -> "str | None":
        """The absolute path of ``file``; it is named as seen from the file of the decorator.

        Raises:
            FlowDefinitionError: there is no such file.
        """
        file = self.attributes["file"]
        if file is None:
            return None
        path = os.path.join(os.path.dirname(os.path.abspath(self.file)), os.path.expanduser(file))
        if not os.path.isfile(path):
            self.fail("@%s: there is no file %s. Write its path as seen from this file." % (self.name, path))
        return path


class _PypiAttributes(_EnvironmentAttributes):
    """What ``@pypi`` and ``@pypi_base`` take."""

    spelling = "packages"
    name_pattern = _PYPI_NAME
    version_pattern = _PYPI_VERSION
    name_form = '"pandas", or "uvicorn[standard]"'
    defaults: "dict[str, Any]" = {
        "packages": None,
        "python": None,
        "disabled": None,
    }


class CondaDecorator(_CondaAttributes, StepDecorator):
    """The conda environment of a step.

    Args:
        libraries: exact versions by library name; ``channel::name`` picks a channel.
        packages: another spelling of ``libraries``.
        python: the version of Python, such as ``3.11.7``; the launching interpreter's by default.
        disabled: run the step in the interpreter around it.
        file: an ``environment.yml``, an explicit spec file or a ``pixi.lock`` beside the flow file.
    """

    name = "conda"


class CondaBaseDecorator(_CondaAttributes, FlowDecorator):
    """What the conda environments of all steps have in common; takes what ``@conda`` takes."""

    name = "conda_base"


class PypiDecorator(_PypiAttributes, StepDecorator):
    """Packages from PyPI in the environment of a step, beside those of ``@conda``.

    Args:
        packages: exact versions by name.
        python: the version of Python, such as ``3.11.7``.
        disabled: run the step in the interpreter around it.
    """

    name = "pypi"


class PypiBaseDecorator(_PypiAttributes, FlowDecorator):
    """Packages from PyPI in the environments of all steps; takes what ``@pypi`` takes."""

    name = "pypi_base"


if TYPE_CHECKING:

    def conda(
        __method: "Method | None" = None,
        *,
        libraries: "_Pins" = None,
        packages: "_Pins" = None,
        python: "Text" = None,
        disabled: "Flag" = None,
        file: "Text" = None,
    ) -> "Method":
        """Declare the conda environment of a step; see ``CondaDecorator``."""

    def conda_base(
        __flow_class: "FlowClass | None" = None,
        *,
        libraries: "_Pins" = None,
        packages: "_Pins" = None,
        python: "Text" = None,
        disabled: "Flag" = None,
        file: "Text" = None,
    ) -> "FlowClass":
        """Declare what the conda environments of all steps share; see ``CondaBaseDecorator``."""

    def pypi(
        __method: "Method | None" = None,
        *,
        packages: "_Pins" = None,
        python: "Text" = None,
        disabled: "Flag" = None,
    ) -> "Method":
        """Add packages from PyPI to the environment of a step; see ``PypiDecorator``."""

    def pypi_base(
        __flow_class: "FlowClass | None" = None,
        *,
        packages: "_Pins" = None,
        python: "Text" = None,
        disabled: "Flag" = None,
    ) -> "FlowClass":
        """Add packages from PyPI to the environments of all steps; see ``PypiBaseDecorator``."""

else:
    conda = decorator_function(CondaDecorator)
    conda_base = decorator_function(CondaBaseDecorator)
    pypi = decorator_function(PypiDecorator)
    pypi_base = decorator_function(PypiBaseDecorator)

STEP_NAMES = ("conda", "pypi")
BASE_NAMES = ("conda_base", "pypi_base")


def library_key(name: str) -> str:
    """The library that a key of ``libraries`` means, without its channel.

    >>> library_key("conda-forge::NumPy")
    'numpy'
    """
    return name.rsplit("::", 1)[-1].lower()


def pypi_key(name: str) -> str:
    """The normalized name of a PyPI package, its extras left out (PEP 503).

    >>> pypi_key("Foo.Bar[x]")
    'foo-bar'
    """
    return re.sub(r"[-_.]+", "-", name.split("[", maxsplit=1)[0]).lower()


def merge(layers: "list[Any]", default_python: str) -> "dict[str, Any] | None":
    """The environment that decorators give together, or None where it is disabled.

    Args:
        layers: decorators of the class and of the step, the most general first.
        default_python: the version of Python where no layer names one.

    Returns:
        ``{"python": "3.11.7", "python_stated": True, "libraries": {...}, "pypi": {...}, "file": None}``.

    Raises:
        FlowDefinitionError: a file that a decorator names is not there.
    """
    libraries: "dict[str, tuple[str, str]]" = {}
    packages: "dict[str, tuple[str, str]]" = {}
    python: "str | None" = None
    file: "str | None" = None
    disabled = False
    for layer in layers:
        for name, version in layer.attributes.get("libraries", {}).items():
            libraries[library_key(name)] = (name, version)
        if layer.spelling == "packages":
            for name, version in layer.attributes["packages"].items():
                packages[pypi_key(name)] = (name, version)
        else:
            file = layer.path or file
        python = layer.attributes["python"] or python
        if layer.attributes["disabled"] is not None:
            disabled = layer.attributes["disabled"]
    if disabled:
        return None
    return {
        "python": python or default_python,
        "python_stated": python is not None,
        "libraries": dict(libraries[key] for key in sorted(libraries)),
        "pypi": dict(packages[key] for key in sorted(packages)),
        "file": file,
    }


def _exact(version: str) -> str:
    """A guess at the one version that was meant, for the message."""
    found = re.search(r"\d[A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*", version)
    return found.group(0) if found else "1.2.3"
