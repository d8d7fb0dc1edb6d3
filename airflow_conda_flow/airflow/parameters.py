"""A flow's parameters as Airflow's: a typed form with descriptions."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from airflow_conda_flow.flow.parameters import Parameter

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
