"""The value that a setting gives to an attribute of a step's compute."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.resources_decorator import RESOURCES, check_amount
from airflow_conda_flow.settings import Settings

Attributes = Mapping[str, tuple[Callable[[Any], Any], str]]
"""By name: what makes a value of what was written, or raises ValueError; and what it takes, in words."""


def attribute_setting(name: str, option: str, attributes: Attributes, settings: Settings) -> Any:
    """The value of an attribute by its setting; None where nobody set it.

    Args:
        name: the attribute, one of ``attributes`` or an amount of ``@resources``.
        option: the setting; there may be none of that name.
        attributes: of the compute's decorator.
        settings: the settings in force.

    Raises:
        SettingError: the setting is not what the attribute takes.
    """
    found = settings.texts.get(option)
    if found is None or not found.text:
        return None
    try:
        return _value(name, found.text, attributes)
    except ValueError:
        expected = check_amount(name, None) if name in RESOURCES else attributes[name][1]
        raise SettingError(f"{found.source} is {found.text!r}; it takes {expected}.") from None


def _value(name: str, text: str, attributes: Attributes) -> Any:
    """The value that a text means: as JSON, or as it stands."""
    if name in RESOURCES:
        if check_amount(name, text) is not None:
            raise ValueError(text)
        return text
    normalise = attributes[name][0]
    try:
        return normalise(json.loads(text))
    except ValueError:
        return normalise(text)
