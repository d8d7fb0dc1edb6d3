"""A flow's parameters as Airflow's: a typed form with descriptions."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from airflow.sdk import Param

from airflow_conda_flow.flow.parameters import JSONType, Parameter

_SCHEMA_TYPES = {
    "str": ["string"],
    "int": ["integer"],
    "float": ["number"],
    "bool": ["boolean"],
    "JSON": ["object", "array", "string", "number", "boolean"],
}


def airflow_param(parameter: Parameter) -> Param:
    """The Airflow param of a parameter. One whose default is a function, or None, may stay empty."""
    types = list(_SCHEMA_TYPES[parameter.type_name])
    described: dict[str, Any] = {"title": parameter.name}
    if parameter.help:
        described["description"] = parameter.help
    if parameter.required:
        return Param(type=_plain(types), **described)
    default = None if callable(parameter.default) else parameter.default
    if default is None:
        types = ["null", *types]
    return Param(default, type=_plain(types), **described)


def _plain(types: list[str]) -> str | list[str]:
    return types[0] if len(types) == 1 else types


def given_values(
    parameters: Iterable[Parameter], params: Mapping[str, Any], declared: Collection[str]
) -> dict[str, Any]:
    """What a DAG run was given for the flow's parameters, by name; the others have their defaults.

    A name that neither the flow nor the DAG knows stays, to be refused: it is a misspelt one.

    Args:
        parameters: the flow's.
        params: the DAG run's params.
        declared: the names of the DAG's params.
    """
    known = {each.name: each for each in parameters}
    return {
        name: _as_given(known[name], value) if name in known else value
        for name, value in params.items()
        if value is not None and (name in known or name not in declared)
    }


def _as_given(parameter: Parameter, value: Any) -> Any:
    """The value for ``Parameter.convert``: a text that is no JSON is itself the JSON value."""
    if parameter.type is not JSONType or not isinstance(value, str):
        return value
    try:
        json.loads(value)
    except ValueError:
        return json.dumps(value)
    return value
