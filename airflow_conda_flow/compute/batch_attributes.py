"""What a step's job has: the attributes of its decorators, and the settings where they say nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_conda_flow.compute.attribute_setting import attribute_setting
from airflow_conda_flow.flow.batch_decorator import ATTRIBUTES
from airflow_conda_flow.flow.resources_decorator import merge_resources
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
        setting = attribute_setting(name, _OPTIONS.get(name, f"batch_{name}"), ATTRIBUTES, settings)
        if value is None:
            found[name] = setting
        elif name == "aws_batch_tags" and setting:
            found[name] = {**setting, **value}
    return found
