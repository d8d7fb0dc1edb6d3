"""``@conda`` and ``@conda_base``: the environment that a step asks for, and their merge.

Libraries are pinned exactly, because a range would be another environment next month.
"""

import re

from airflow_conda_flow.flow.decorators import (
    Decorator,
    FlowDecorator,
    StepDecorator,
    decorator_function,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAME = re.compile(r"^([A-Za-z0-9_.:/+-]+::)?[A-Za-z0-9_][A-Za-z0-9_.-]*$")
_VERSION = re.compile(r"^(\d+!)?\d[A-Za-z0-9_.]*(\+[A-Za-z0-9_.]+)?$")
_PYTHON = re.compile(r"^\d+\.\d+\.\d+([a-z]+\d+)?$")


class _CondaAttributes(Decorator):
    """The attributes that both decorators take, and their checks."""

    defaults = {
        "libraries": None,
        "packages": None,
        "python": None,
        "disabled": None,
    }  # type: dict[str, Any]

    def check(self):
        # type: () -> None
        """Raise unless every library is pinned exactly and Python is a full version."""
        merged = {}  # type: dict[str, str]
        for spelling in ("libraries", "packages"):
            for name, version in self._mapping(spelling).items():
                self._check_library(name, version)
                if merged.get(name, version) != version:
                    self.fail(
                        "@%s gives %r twice, as %r and %r; keep one."
                        % (self.name, name, merged[name], version)
                    )
                merged[name] = version
        self.attributes["libraries"] = merged
        self._check_python(self.attributes["python"])
        disabled = self.attributes["disabled"]
        if disabled is not None and not isinstance(disabled, bool):
            self.fail("@%s: disabled is %r; write True or False." % (self.name, disabled))

    def _mapping(self, spelling):
        # type: (str) -> dict[str, str]
        value = self.attributes[spelling]
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.fail(
                '@%s: %s is %r; write a dict of names and versions, such as {"pandas": "2.2.3"}.'
                % (self.name, spelling, value)
            )
        return dict(value)

    def _check_library(self, name, version):
        # type: (Any, Any) -> None
        if not isinstance(name, str) or not _NAME.match(name):
            self.fail(
                '@%s: %r is not the name of a library. Write a name such as "pandas", '
                'or "channel::name".' % (self.name, name)
            )
        if library_key(name) == "python":
            self.fail(
                '@%s: the version of Python has its own attribute. Write python="%s".' % (self.name, version)
            )
        if not isinstance(version, str):
            self.fail(
                '@%s: the version of %r is %r, not a string. Write {"%s": "%s"}.'
                % (self.name, name, version, name, version if version else "1.2.3")
            )
        if not _VERSION.match(version):
            self.fail(
                "@%s: %r is pinned to %r; a library is pinned to exactly one version. "
                'Write {"%s": "%s"}.' % (self.name, name, version, name, _exact(version))
            )

    def _check_python(self, python):
        # type: (Any) -> None
        if python is None or (isinstance(python, str) and _PYTHON.match(python)):
            return
        self.fail(
            "@%s: python is %r; write all three numbers of one version as a string, "
            'such as python="3.11.7".' % (self.name, python)
        )


class CondaDecorator(_CondaAttributes, StepDecorator):
    """The conda environment of a step.

    Args:
        libraries: exact versions by library name; ``channel::name`` picks a channel.
        packages: another spelling of ``libraries``.
        python: the version of Python, such as ``3.11.7``; the launching interpreter's by default.
        disabled: run the step in the interpreter around it.
    """

    name = "conda"


class CondaBaseDecorator(_CondaAttributes, FlowDecorator):
    """What the conda environments of all steps have in common; takes what ``@conda`` takes."""

    name = "conda_base"


conda = decorator_function(CondaDecorator)
conda_base = decorator_function(CondaBaseDecorator)


def library_key(name):
    # type: (str) -> str
    """The library that a key of ``libraries`` means, without its channel.

    >>> library_key("conda-forge::NumPy")
    'numpy'
    """
    return name.rsplit("::", 1)[-1].lower()


def merge(layers, default_python):
    # type: (list[Any], str) -> dict[str, Any] | None
    """The environment that decorators give together, or None where it is disabled.

    Args:
        layers: ``@conda_base`` and ``@conda`` decorators, the most general first.
        default_python: the version of Python where no layer names one.

    Returns:
        ``{"python": "3.11.7", "libraries": {...}}``.
    """
    libraries = {}  # type: dict[str, tuple[str, str]]
    python = default_python
    disabled = False
    for layer in layers:
        for name, version in layer.attributes["libraries"].items():
            libraries[library_key(name)] = (name, version)
        python = layer.attributes["python"] or python
        if layer.attributes["disabled"] is not None:
            disabled = layer.attributes["disabled"]
    if disabled:
        return None
    return {"python": python, "libraries": dict(libraries[key] for key in sorted(libraries))}


def _exact(version):
    # type: (str) -> str
    """A guess at the one version that was meant, for the message."""
    found = re.search(r"\d[A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*", version)
    return found.group(0) if found else "1.2.3"
