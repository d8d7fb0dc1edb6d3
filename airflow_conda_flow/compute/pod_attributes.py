"""What a step's pod has: the attributes of its decorators, and the settings where they say nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.kubernetes_decorator import ATTRIBUTES
from airflow_conda_flow.flow.resources_decorator import RESOURCES, check_amount, merge_resources
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
        setting, own = _setting(name, settings), given.get(name)
        if name in _MERGED and setting and own:
            found[name] = {**setting, **own}
        else:
            found[name] = setting if own is None else own
    return found


def _setting(name: str, settings: Settings) -> Any:
    option = settings.texts.get(f"kubernetes_{name}")
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
        return normalise(text)
    except ValueError:
        return normalise(json.loads(text))
