"""Conversion of a flow's parameters to Airflow's params: a typed form with descriptions and limits."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from airflow.sdk import Param

from airflow_conda_flow.flow.parameters.include_file import IncludeFile
from airflow_conda_flow.flow.parameters.parameters import JSONType, Parameter

# Name of a parameter's type -> types of JSON schema.
_SCHEMA_TYPES = {
    "str": ["string"],
    "int": ["integer"],
    "float": ["number"],
    "bool": ["boolean"],
    "JSON": ["object", "array", "string", "number", "boolean"],
    "file": ["string"],
}


def airflow_param(parameter: Parameter) -> Param:
    """Airflow param of a parameter; it may stay empty if the parameter's default is None or a function."""
    schema = _schema(parameter)
    if parameter.required:
        return Param(**schema)
    default = _default(parameter)
    return Param(default, **_optional(schema) if default is None else schema)


def _schema(parameter: Parameter) -> dict[str, Any]:
    """JSON schema of the parameter's valid values, with its title and description."""
    one: dict[str, Any] = {"type": _plain(_SCHEMA_TYPES[parameter.type_name])}
    if parameter.choices is not None:
        one["enum"] = list(parameter.choices)
    if parameter.minimum is not None:
        one["minimum"] = parameter.minimum
    if parameter.maximum is not None:
        one["maximum"] = parameter.maximum
    schema: dict[str, Any] = {"type": "array", "items": one} if parameter.multiple else one
    schema["title"] = parameter.name
    description = _description(parameter)
    if description:
        schema["description"] = description
    return schema


def _description(parameter: Parameter) -> str:
    notes = []
    if isinstance(parameter, IncludeFile):
        notes.append(
            "The path of a file that the worker of the prepare task can read, seen from the flow file, "
            "or s3://bucket/key."
        )
    if parameter.separator is not None:
        notes.append(f"Separated by {parameter.separator!r}.")
    if callable(parameter.default):
        notes.append("Computed when the run starts, if left empty.")
    if parameter.help and notes:
        return " ".join([_sentence(parameter.help), *notes])
    return parameter.help or " ".join(notes)


def _sentence(text: str) -> str:
    """The text, ended by a full stop if notes follow it.

    >>> _sentence("which countries"), _sentence("Which? ")
    ('which countries.', 'Which?')
    """
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", ":", ";")) else f"{text}."


def _default(parameter: Parameter) -> Any:
    """Default in the form; None if it is None, or a function that runs only when the run starts."""
    default = parameter.default
    if default is None or callable(default):
        return None
    if parameter.separator is not None:
        return parameter.separator.join(default)
    if parameter.multiple:
        return list(default)
    return str(default) if isinstance(parameter, IncludeFile) else default


def _optional(schema: dict[str, Any]) -> dict[str, Any]:
    """Schema that also allows null."""
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    found = {**schema, "type": ["null", *types]}
    if "enum" in schema:
        found["enum"] = [None, *schema["enum"]]
    return found


def _plain(types: list[str]) -> str | list[str]:
    return types[0] if len(types) == 1 else types


def given_values(
    parameters: Iterable[Parameter], params: Mapping[str, Any], declared: Collection[str]
) -> dict[str, Any]:
    """Values that a DAG run gives for the flow's parameters, by name, without those that were left empty.

    The unchanged default of an ``IncludeFile`` is left out too: its path is relative to the flow file.
    A name that neither the flow nor the DAG declares is kept, so that it is refused later: it is misspelt.

    Args:
        parameters: the flow's parameters.
        params: the DAG run's params.
        declared: names of the DAG's params.
    """
    known = {each.name: each for each in parameters}
    return {
        name: _as_given(known[name], value) if name in known else value
        for name, value in params.items()
        if (value is not None and (name in known or name not in declared))
        and not (name in known and _is_default_file(known[name], value))
    }


def _is_default_file(parameter: Parameter, value: Any) -> bool:
    """True if the value is the default of an ``IncludeFile``, whose path is relative to the flow file."""
    return isinstance(parameter, IncludeFile) and value == _default(parameter)


def _as_given(parameter: Parameter, value: Any) -> Any:
    """Value for ``Parameter.convert``: for a JSON parameter, text that is not JSON becomes a JSON string."""
    if parameter.type is not JSONType or not isinstance(value, str):
        return value
    try:
        json.loads(value)
    except ValueError:
        return json.dumps(value)
    return value
