"""Values of a flow's parameters, from options of ``run`` and from environment variables."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from typing import Any

from airflow_conda_flow.cli.parser import FlowArgumentParser
from airflow_conda_flow.errors import ParameterError
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.parameters.parameters import Parameter
from airflow_conda_flow.flow.username import username

PREFIX = "parameter:"
"""Prefix of parameters in the parsed arguments: a parameter may share an option's name, such as ``tag``."""

_VARIABLES = ("CONDA_FLOW_RUN_", "METAFLOW_RUN_")


def add_parameter_options(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add an option for each parameter of the flow."""
    if not definition.parameters:
        return
    group = parser.add_argument_group("parameters of the flow")
    for parameter in definition.parameters:
        # ``--flag`` alone means true; ``--flag false`` is allowed too.
        flag: dict[str, Any] = {"nargs": "?", "const": "true"} if parameter.is_flag else {}
        group.add_argument(
            f"--{parameter.name}",
            dest=PREFIX + parameter.name,
            action="append" if parameter.multiple else "store",
            metavar=parameter.type_name.upper(),
            **flag,
            help=_help(parameter),
        )


def parameter_values(
    arguments: argparse.Namespace, definition: FlowDefinition, datastore: str
) -> Mapping[str, Any]:
    """Value of every parameter, by attribute. A wrong or missing value ends the process as a usage error.

    Args:
        arguments: parsed command line.
        definition: the flow.
        datastore: kind of datastore, ``local`` or ``s3``; passed to functions that compute defaults.
    """
    given = {}
    for parameter in definition.parameters:
        stated = getattr(arguments, PREFIX + parameter.name)
        if stated is None:
            stated = _from_variable(parameter)
        if stated is not None:
            given[parameter.name] = stated
    try:
        return definition.parameter_values(given, username(), datastore)
    except ParameterError as error:
        parser: FlowArgumentParser = arguments.command_parser
        parser.error(str(error))


def _from_variable(parameter: Parameter) -> str | list[str] | None:
    """Text of the parameter's environment variable; split at blanks if the parameter takes several values."""
    name = parameter.name.upper().replace("-", "_")
    for prefix in _VARIABLES:
        text = os.environ.get(prefix + name)
        if text is not None:
            return text.split() if parameter.multiple else text
    return None


def _help(parameter: Parameter) -> str:
    notes = []
    if parameter.choices is not None or parameter.minimum is not None or parameter.maximum is not None:
        notes.append(parameter.expected)
    if parameter.multiple:
        notes.append("may be given again")
    if parameter.separator is not None:
        notes.append(f"separated by {parameter.separator!r}")
    if parameter.required:
        notes.append("required")
    elif callable(parameter.default) and parameter.show_default:
        notes.append("default: computed when the run starts")
    elif parameter.default is not None and parameter.show_default:
        notes.append(f"default {_shown(parameter)}")
    text = parameter.help or ""
    if notes:
        text = f"{text} ({'; '.join(notes)})".strip()
    return text.replace("%", "%%")  # argparse formats help texts with %


def _shown(parameter: Parameter) -> str:
    if parameter.type_name == "JSON":
        return json.dumps(parameter.default, ensure_ascii=False)
    if parameter.separator is not None:
        return f"{parameter.separator.join(parameter.default)!r}"
    return f"{parameter.default!r}"
