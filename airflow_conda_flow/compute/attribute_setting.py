"""The value that a setting gives to an attribute of a step's compute."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.decorators.resources import RESOURCES, check_amount
from airflow_conda_flow.settings.loading import Settings

Attributes = Mapping[str, tuple[Callable[[Any], Any], str]]
"""By name: a function that normalises a value or raises ValueError, and a description of the valid values."""


def attribute_setting(name: str, option: str, attributes: Attributes, settings: Settings) -> Any:
    """Value of an attribute that comes from its setting; None if it is not set.

    Args:
        name: an attribute of the compute's decorator, or an amount of ``@resources``.
        option: name of the setting; a setting of this name need not exist.
        attributes: the attributes of the compute's decorator.
        settings: the settings in force.

    Raises:
        SettingError: the setting is not a valid value of the attribute.
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
    """Value of a setting's text, read as JSON if possible, else as plain text."""
    # An amount stays as it was written, as those of decorators do: each compute converts it to its own unit.
    if name in RESOURCES:
        if check_amount(name, text) is not None:
            raise ValueError(text)
        return text
    normalise = attributes[name][0]
    try:
        return normalise(json.loads(text))
    except ValueError:
        return normalise(text)
