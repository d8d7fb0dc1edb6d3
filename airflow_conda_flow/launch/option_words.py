"""Options that are written before the command, from the keyword arguments of ``Runner``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# Metaflow's keyword: ``with`` is a reserved word of Python.
_OTHER_NAMES = {"decospecs": "with"}
# Options with two words each, a name and a value.
_PAIRS = ("config", "config_value")


def option_words(keywords: Mapping[str, Any]) -> list[str]:
    """Command-line words that are equivalent to the keywords. None leaves a keyword out.

    >>> option_words({"environment": "conda", "quiet": True, "pylint": False, "decospecs": ["retry"]})
    ['--environment=conda', '--quiet', '--no-pylint', '--with=retry']
    >>> option_words({"config_value": {"sizes": {"small": 1}}})
    ['--config-value', 'sizes', '{"small": 1}']
    """
    words = []
    for name, value in keywords.items():
        option = _OTHER_NAMES.get(name, name).replace("_", "-")
        if value is None:
            continue
        if name in _PAIRS:
            pairs = value.items() if isinstance(value, Mapping) else value
            for key, each in pairs:
                words += [f"--{option}", str(key), _text(each)]
        elif isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, list | tuple):
            words += [f"--{option}={each}" for each in value]
        else:
            words.append(f"--{option}={value}")
    return words


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, Mapping | list) else str(value)
