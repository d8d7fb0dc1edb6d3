"""Parsers for ``Config(parser=...)``: turn files that name libraries into arguments of a decorator.

Example: ``@pypi_base(**config_expr("libraries"))`` with ``libraries = Config("libraries",
default="requirements.txt", parser=requirements_txt_parser)``, and likewise ``@conda_base`` with an
``environment.yml``. The parsers run on the machine that starts a run, which has PyYAML and a TOML reader.
"""

import importlib
import re

from airflow_conda_flow.errors import ParameterError
from airflow_conda_flow.flow.parameters.bounded import OutOfBounds, within_bounds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_REQUIREMENT = re.compile(r"^([A-Za-z0-9][\w.-]*)\s*(\[[^\]]*\])?\s*(.*)$")
_DEPENDENCY = re.compile(r"^((?:[\w.:/+-]+::)?[A-Za-z0-9_][\w.-]*)\s*(.*)$")
_COMMENT = re.compile(r"(^|\s)#.*$")


def requirements_txt_parser(content: str) -> "dict[str, Any]":
    r"""``packages`` and ``python`` of a ``requirements.txt``.

    >>> requirements_txt_parser("pandas==2.2.2  # tables\npython==3.11.9")
    {'packages': {'pandas': '2.2.2'}, 'python': '3.11.9'}

    Raises:
        ParameterError: a line is not a requirement, or has an environment marker.
    """
    lines = (_COMMENT.sub("", line).strip() for line in content.splitlines())
    # "-e file:." is the project itself, as some tools write it, and not a library.
    return _gathered(line for line in lines if line and line != "-e file:.")


def pyproject_toml_parser(content: str) -> "dict[str, Any]":
    """``packages`` and ``python`` of the ``[project]`` table of a ``pyproject.toml``.

    Raises:
        ParameterError: the text is not TOML, or a dependency is not a requirement or has an environment
            marker.
    """
    try:
        toml = importlib.import_module("tomllib")
    except ImportError:  # before Python 3.11
        toml = importlib.import_module("tomli")
    try:
        project = toml.loads(content).get("project", {})
    except ValueError as error:
        raise ParameterError("It is not TOML: %s." % error) from error
    found = _gathered(each.strip() for each in project.get("dependencies", []))
    if project.get("requires-python") is not None:
        found["python"] = project["requires-python"].lstrip("= ")
    return found


def conda_environment_yml_parser(content: str) -> "dict[str, Any]":
    """``packages`` and ``python`` of an ``environment.yml``.

    >>> conda_environment_yml_parser("dependencies: [python=3.11.9, numpy=1.26.4]")
    {'packages': {'numpy': '1.26.4'}, 'python': '3.11.9'}

    Raises:
        ParameterError: the text is not YAML, has no dependencies, or has pip dependencies.
    """
    parsed = yaml_parser(content)
    dependencies = parsed.get("dependencies") if isinstance(parsed, dict) else None
    if not isinstance(dependencies, list):
        raise ParameterError("It is not an environment.yml, which has a list of dependencies.")
    packages: "dict[str, str]" = {}
    for each in dependencies:
        match = _DEPENDENCY.match(each) if isinstance(each, str) else None
        if match is None:
            raise ParameterError(
                "%r is not a conda package; write one such as numpy=1.26.4. Packages of PyPI go to @pypi."
                % each
            )
        packages[match.group(1)] = match.group(2).replace(" ", "").lstrip("=")
    python = packages.pop("python", None)
    return {"packages": packages, "python": python or None}


def yaml_parser(content: str) -> "Any":
    """Value of a YAML text.

    Raises:
        ParameterError: the text is not YAML.
    """
    yaml = importlib.import_module("yaml")
    try:
        return within_bounds(yaml.safe_load(content))
    except yaml.YAMLError as error:
        raise ParameterError("It is not valid YAML: %s." % error) from error
    except RecursionError:
        raise ParameterError("It is nested too deeply.") from None
    except OutOfBounds as error:
        raise ParameterError("It is %s." % error) from error


def _gathered(requirements: "Iterable[str]") -> "dict[str, Any]":
    packages: "dict[str, str]" = {}
    for text in requirements:
        match = _REQUIREMENT.match(text)
        if match is None or text.startswith("-"):
            raise ParameterError("%r is not a requirement; write one such as pandas==2.2.2." % text)
        name, extras, rest = match.groups()
        if ";" in rest:
            raise ParameterError(
                "%r has an environment marker; name the package that the steps need, without a marker." % text
            )
        name += (extras or "").replace(" ", "")
        if rest.startswith("@"):
            packages["%s@%s" % (name, rest[1:].strip())] = ""
        else:
            packages[name] = rest.replace(" ", "").lstrip("=")
    python = packages.pop("python", None)
    return {"packages": packages, "python": python or None}
