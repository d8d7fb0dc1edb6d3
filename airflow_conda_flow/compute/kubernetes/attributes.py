"""Attributes of a step's pod: from the step's decorators, else from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_conda_flow.compute.attribute_setting import attribute_setting
from airflow_conda_flow.flow.decorators.kubernetes import ATTRIBUTES
from airflow_conda_flow.flow.decorators.resources import RESOURCES, merge_resources
from airflow_conda_flow.settings.loading import Settings

# Attributes for which the entries of decorator and setting are merged; elsewhere the decorator replaces the
# setting.
_MERGED = ("labels", "annotations")


def pod_attributes(decorators: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Value of every attribute of ``@kubernetes``, by name; None for an attribute that is given nowhere.

    Args:
        decorators: the step's decorators: attributes by decorator name.
        settings: the settings in force.

    Raises:
        SettingError: a setting is not a valid value of its attribute.
    """
    given = {**(decorators.get("kubernetes") or {}), **merge_resources(decorators, "kubernetes")}
    found = {}
    for name in (*RESOURCES, *ATTRIBUTES):
        setting, own = attribute_setting(name, f"kubernetes_{name}", ATTRIBUTES, settings), given.get(name)
        if name in _MERGED and setting and own:
            found[name] = {**setting, **own}
        else:
            found[name] = setting if own is None else own
    return found
