"""``@conda``, ``@pypi`` and their ``_base`` forms: declare the environment of a step, and how they merge.

A version is exact, or a range if the flow has a lock file: without one a range would give a different
environment next month. Whether there is a lock file is known only once the flow is read; see
``environment_spec.check_versions``.
"""

import os
import re

from airflow_conda_flow.flow.decorators.base import (
    Decorator,
    FlowDecorator,
    StepDecorator,
    decorator_function,
)
from airflow_conda_flow.flow.own_path import folder_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from re import Pattern
    from typing import Any, NoReturn

    from airflow_conda_flow.flow.decorators.attribute_values import Flag, Text
    from airflow_conda_flow.flow.decorators.base import FlowClass, Method
    from airflow_conda_flow.flow.parameters.delayed_value import DelayedValue

    _Pins = Mapping[str, str] | DelayedValue | None

# Name with an optional channel or channel URL in front, as in "conda-forge::numpy".
_NAME = re.compile(r"^([A-Za-z0-9_.:/+-]+::)?[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_VERSION = re.compile(r"^(\d+!)?\d[A-Za-z0-9_.]*(\+[A-Za-z0-9_.]+)?\Z")
# Ranges of conda: comparisons, wildcards and alternatives; empty or "*" for any version.
# https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html#package-match-specifications
_TERM = r"(>=|<=|==|!=|~=|=|>|<)?\s*(\d+!)?\d[A-Za-z0-9_.]*(\+[A-Za-z0-9_.]+)?\*?"
_RANGE = re.compile(r"^\s*(\*|%s(\s*[,|]\s*%s)*)?\s*\Z" % (_TERM, _TERM))
# All three numbers: "3.11" alone is a range, any 3.11.
_PYTHON = re.compile(r"^\d+\.\d+\.\d+([a-z]+\d+)?\Z")
# Name with optional extras in the form of PEP 508; exact version in the form of PEP 440.
_PYPI_NAME = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?(\[[A-Za-z0-9._, -]+\])?\Z")
_PYPI_VERSION = re.compile(r"^(\d+!)?\d[A-Za-z0-9.]*(\+[A-Za-z0-9.]+)?\Z")
# Ranges of PEP 440; empty or "*" for any version.
_PYPI_TERM = r"(>=|<=|===?|!=|~=|>|<)\s*(\d+!)?\d[A-Za-z0-9.]*(\+[A-Za-z0-9.]+)?(\.\*)?"
_PYPI_RANGE = re.compile(r"^\s*(\*|\d[0-9.]*\.\*|%s(\s*,\s*%s)*)?\s*\Z" % (_PYPI_TERM, _PYPI_TERM))
_OLDEST = (3, 6)


class _EnvironmentAttributes(Decorator):
    """Attributes common to all four decorators: libraries, Python version, disabled."""

    name_pattern = _NAME
    version_pattern = _VERSION
    range_pattern = _RANGE
    range_example = ">=1.2,<2"
    name_form = '"pandas", or "channel::name"'
    spelling = "libraries"

    def check(self) -> None:
        """Raise unless every library and Python have a version, or a range of versions."""
        merged: "dict[str, str]" = {}
        given: "dict[str, str]" = {}
        for spelling in ("libraries", "packages"):
            for name, written in self._mapping(spelling).items():
                self._check_library(name, written)
                version = _plain(written, self.version_pattern)
                key = library_key(name)
                if given.setdefault(key, version) != version:
                    self.fail(
                        "@%s gives %r twice, as %r and %r; keep one." % (self.name, key, given[key], version)
                    )
                merged[name] = version
        self.attributes[self.spelling] = merged
        self._check_python(self.attributes["python"])
        if self.attributes["python"] is not None:
            self.attributes["python"] = _plain(self.attributes["python"], _PYTHON)
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
        stripped = version.strip()
        if not self.version_pattern.match(stripped) and not self.range_pattern.match(stripped):
            self.fail(
                "@%s: the version of %r is %r, which is neither a version nor a range of versions. "
                'Write one such as {"%s": "%s"}, or with a lock file {"%s": "%s"}.'
                % (self.name, name, version, name, _exact(version), name, self.range_example)
            )

    def _check_python(self, python: "Any") -> None:
        if python is None:
            return
        if isinstance(python, str) and python.strip(" *") and _RANGE.match(python):
            plain = re.match(r"^(\d+)\.(\d+)[\d.*]*\Z", python)
            if plain and (int(plain.group(1)), int(plain.group(2))) < _OLDEST:
                self.fail("@%s: python is %r; steps run on Python 3.6 and later." % (self.name, python))
            return
        self.fail(
            "@%s: python is %r; write all three numbers of one version as a string, "
            'such as python="3.11.7", or with a lock file a range such as "3.11.*".' % (self.name, python)
        )

    def ranges(self) -> "list[tuple[str, str]]":
        """Libraries whose version is a range, and ``python`` if its version is one, with these ranges."""
        libraries = self.attributes[self.spelling].items()
        found = [(name, version) for name, version in libraries if not self.version_pattern.match(version)]
        python = self.attributes["python"]
        return found if python is None or _PYTHON.match(python) else [*found, ("python", python)]

    def refuse_range(self, name: str, version: str, command: str, exact: "str | None") -> "NoReturn":
        """Raise the error for a range in a flow without a lock file.

        Args:
            name: the library, or ``python``.
            version: its range.
            command: the command that writes the lock file.
            exact: the version that a solve chooses today; None if it is not known.
        """
        form = 'python="%s"' if name == "python" else '{"%s": "%%s"}' % name
        if exact is None:
            pin = "Write exactly one version%s" % (" with all three numbers" if name == "python" else "")
        else:
            pin = "Write %s, the version that a solve chooses today" % (form % exact)
        self.fail(
            "@%s: the version of %r is %r, a range, which may mean another environment next month. "
            "%s, or keep the range and pin it in a lock file: %s" % (self.name, name, version, pin, command)
        )

    def refuse_unmet_range(self, name: str, version: str, reason: str) -> "NoReturn":
        """Raise the error for a range in a flow without a lock file, which nothing can be locked for.

        Args:
            name: the library, or ``python``.
            version: its range.
            reason: sentences of the solver.
        """
        self.fail(
            "@%s: the version of %r is %r, a range, which has to be pinned and cannot be. %s"
            % (self.name, name, version, reason)
        )


class _CondaAttributes(_EnvironmentAttributes):
    """Attributes of ``@conda`` and ``@conda_base``."""

    spelling = "libraries"
    defaults: "dict[str, Any]" = {
        "libraries": None,
        "packages": None,
        "python": None,
        "disabled": None,
        "file": None,
    }

    def check(self) -> None:
        """Raise also if ``file`` is not a file name. ``path`` checks later that the file exists."""
        super().check()
        file = self.attributes["file"]
        if file is not None and (not isinstance(file, str) or not file):
            self.fail(
                "@%s: file is %r; write the name of an environment.yml, an explicit spec file or a "
                "pixi.lock, as seen from the flow file." % (self.name, file)
            )

    @property
    def path(self) -> "str | None":
        """Absolute path of ``file``, which is relative to the decorator's own file; None if not given.

        Raises:
            FlowDefinitionError: there is no such file.
        """
        file = self.attributes["file"]
        if file is None:
            return None
        path = os.path.join(folder_of(self.file), os.path.expanduser(file))
        if not os.path.isfile(path):
            self.fail("@%s: there is no file %s. Write its path as seen from this file." % (self.name, path))
        return path


class _PypiAttributes(_EnvironmentAttributes):
    """Attributes of ``@pypi`` and ``@pypi_base``."""

    spelling = "packages"
    name_pattern = _PYPI_NAME
    version_pattern = _PYPI_VERSION
    range_pattern = _PYPI_RANGE
    name_form = '"pandas", or "uvicorn[standard]"'
    defaults: "dict[str, Any]" = {
        "packages": None,
        "python": None,
        "disabled": None,
    }


class CondaDecorator(_CondaAttributes, StepDecorator):
    """Conda environment of a step.

    Args:
        libraries: versions by library name; ``channel::name`` picks a channel. A version is exact, such as
            ``1.26.4``, or with a lock file a range, such as ``>=1.26,<2`` or an empty text.
        packages: another name for ``libraries``.
        python: version of Python, such as ``3.11.7``, or with a lock file a range, such as ``3.11.*``; the
            launching interpreter's version by default.
        disabled: True to run the step in the interpreter that runs the flow, without an environment.
        file: path of an ``environment.yml``, an explicit spec file or a ``pixi.lock``, relative to the
            flow file.
    """

    name = "conda"


class CondaBaseDecorator(_CondaAttributes, FlowDecorator):
    """Common part of the conda environments of all steps; accepts the attributes of ``@conda``."""

    name = "conda_base"


class PypiDecorator(_PypiAttributes, StepDecorator):
    """Packages from PyPI in the environment of a step, in addition to those of ``@conda``.

    Args:
        packages: versions by name: exact, or with a lock file ranges of PEP 440.
        python: version of Python, such as ``3.11.7``, or with a lock file a range, such as ``3.11.*``.
        disabled: True to run the step in the interpreter that runs the flow, without an environment.
    """

    name = "pypi"


class PypiBaseDecorator(_PypiAttributes, FlowDecorator):
    """Packages from PyPI in the environments of all steps; accepts the attributes of ``@pypi``."""

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
        """Declare the common part of all conda environments; see ``CondaBaseDecorator``."""

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
    """Lower-case name of the library in a key of ``libraries``, without its channel.

    >>> library_key("conda-forge::NumPy")
    'numpy'
    """
    return name.rsplit("::", 1)[-1].lower()


def pypi_key(name: str) -> str:
    """Normalized name of a PyPI package without its extras (PEP 503).

    >>> pypi_key("Foo.Bar[x]")
    'foo-bar'
    """
    return re.sub(r"[-_.]+", "-", name.split("[", maxsplit=1)[0]).lower()


def merge(layers: "list[Any]", default_python: str) -> "dict[str, Any] | None":
    """Environment that the decorators declare together; None if it is disabled.

    A later layer overrides an earlier one, library by library.

    Args:
        layers: decorators of the class and of the step, the most general first.
        default_python: version of Python to use if no layer names one.

    Returns:
        ``{"python": "3.11.7", "python_stated": True, "libraries": {...}, "pypi": {...}, "file": None}``.

    Raises:
        FlowDefinitionError: a file that a decorator names does not exist.
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


def ranges_of(layers: "list[Any]") -> "list[tuple[Any, str, str]]":
    """Ranges of the environment that the decorators declare together; none if it is disabled.

    Args:
        layers: as ``merge`` takes them.

    Returns:
        of each range: the decorator that states it, the name, and the range.
    """
    found: "dict[tuple[str, str], tuple[Any, str, str] | None]" = {}
    disabled = False
    for layer in layers:
        found.update(_ranges_of(layer))
        if layer.attributes["disabled"] is not None:
            disabled = layer.attributes["disabled"]
    return [] if disabled else [each for each in found.values() if each is not None]


def _ranges_of(layer: "Any") -> "dict[tuple[str, str], tuple[Any, str, str] | None]":
    """By kind and name: the range that a decorator states, or None if the version that it states is exact."""
    is_pypi = layer.spelling == "packages"
    names = {
        name: ("pypi", pypi_key(name)) if is_pypi else ("conda", library_key(name))
        for name in layer.attributes[layer.spelling]
    }
    if layer.attributes["python"]:
        names["python"] = ("python", "")
    found: "dict[tuple[str, str], tuple[Any, str, str] | None]" = dict.fromkeys(names.values())
    found.update((names[name], (layer, name, version)) for name, version in layer.ranges())
    return found


def _plain(written: str, version_pattern: "Pattern[str]") -> str:
    """Version or range as it is compared; "2.2.3 ", as read from a file, and "==2.2.3" are no ranges."""
    version = written.strip()
    exact = version[2:].strip() if version.startswith("==") else ""
    return exact if version_pattern.match(exact) else version


def _exact(version: str) -> str:
    """Guess at the exact version that the user meant, for the error message."""
    found = re.search(r"\d[A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*", version)
    return found.group(0) if found else "1.2.3"
