"""Attributes of a step's job: from the step's decorators, else from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_conda_flow.compute.attribute_setting import attribute_setting
from airflow_conda_flow.flow.decorators.batch import ATTRIBUTES
from airflow_conda_flow.flow.decorators.resources import merge_resources
from airflow_conda_flow.settings.loading import Settings

_OPTIONS = {"iam_role": "batch_job_role", "aws_batch_tags": "batch_tags"}
"""Attributes whose setting is not named ``batch_<attribute>``."""


def batch_attributes(decorators: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Value of every attribute of ``@batch``, by name; None for an attribute that is given nowhere.

    Args:
        decorators: the step's decorators: attributes by decorator name.
        settings: the settings in force.

    Raises:
        SettingError: a setting is not a valid value of its attribute.
    """
    own = decorators.get("batch") or {}
    found: dict[str, Any] = {name: own.get(name) for name in ATTRIBUTES}
    # Two names of one attribute; @batch refuses a step that gives both.
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
