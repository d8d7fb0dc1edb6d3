"""What a step's job has: the attributes of its decorators, and the settings where they say nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.batch_decorator import ATTRIBUTES
from airflow_conda_flow.flow.resources_decorator import RESOURCES, check_amount, merge_resources
from airflow_conda_flow.settings import Settings

_OPTIONS = {"iam_role": "batch_job_role", "aws_batch_tags": "batch_tags"}
"""Options that are not called ``batch_`` and the attribute's name."""


def batch_attributes(decorators: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The value of every attribute of ``@batch``; None where nobody says anything.

    Args:
        decorators: the step's, attributes by name.
        settings: the settings in force.

    Raises:
        SettingError: a setting is not what its attribute takes.
    """
    own = decorators.get("batch") or {}
    found: dict[str, Any] = {name: own.get(name) for name in ATTRIBUTES}
    for name, other in (("iam_role", "job_role"), ("inferentia", "trainium")):
        alias = found.pop(other)
        found[name] = alias if found[name] is None else found[name]
    found.update(merge_resources(decorators, "batch"))
    for name, value in found.items():
        setting = _setting(name, settings)
        if value is None:
            found[name] = setting
        elif name == "aws_batch_tags" and setting:
            found[name] = {**setting, **value}
    return found


def _setting(name: str, settings: Settings) -> Any:
    option = settings.texts.get(_OPTIONS.get(name, f"batch_{name}"))
    if option is None or not option.text:
        return None
    try:
        return _value(name, option.text)
    except ValueError:
        expected = check_amount(name, None) if name in RESOURCES else ATTRIBUTES[name][1]
        raise SettingError(f"{option.source} is {option.text!r}; it takes {expected}.") from None


def _value(name: str, text: str) -> Any:
    """The value that a text means: as it stands, or as JSON."""
    if name in RESOURCES:
        if check_amount(name, text) is not None:
            raise ValueError(text)
        return text
    normalise = ATTRIBUTES[name][0]
    try:
        return normalise(json.loads(text))
    except ValueError:
        return normalise(text)
