"""What a step's pod has: the attributes of its decorators, and the settings where they say nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_conda_flow.compute.attribute_setting import attribute_setting
from airflow_conda_flow.flow.kubernetes_decorator import ATTRIBUTES
from airflow_conda_flow.flow.resources_decorator import RESOURCES, merge_resources
from airflow_conda_flow.settings import Settings

DEFAULT_TMPFS_PATH = "/metaflow_temp"
_MERGED = ("labels", "annotations")


def pod_attributes(decorators: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The value of every attribute of ``@kubernetes``; None where nobody says anything.

    Args:
        decorators: the step's, attributes by name.
        settings: the settings in force.

    Raises:
        SettingError: a setting is not what its attribute takes.
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
