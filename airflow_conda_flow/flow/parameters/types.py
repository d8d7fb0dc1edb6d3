"""The types of parameters: what a text stands for, and what a value must be."""

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TRUE = frozenset(["1", "true", "t", "yes", "y", "on"])
_FALSE = frozenset(["0", "false", "f", "no", "n", "off"])


class _JSONType:
    """The type of a parameter whose text is JSON and whose value is what the JSON says."""

    def __repr__(self) -> str:
        return "JSONType"

    def __reduce__(self) -> str:
        return "JSONType"


JSONType = _JSONType()
NAMES: "dict[Any, str]" = {str: "str", int: "int", float: "float", bool: "bool", JSONType: "JSON"}
EXPECTED = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "JSON": "JSON",
}
_SAME_AS: "dict[Any, Any]" = {dict: JSONType, list: JSONType}
_CLICK_TYPES: "dict[str, Any]" = {
    "text": str,
    "choice": str,
    "path": str,
    "integer": int,
    "integer range": int,
    "float": float,
    "float range": float,
    "boolean": bool,
}


def known_type(stated: "Any") -> "Any":
    """The type that a user means: one of ours, ``dict`` or ``list``, or a type of click; else None."""
    try:
        if stated in NAMES:
            return stated
        if stated in _SAME_AS:
            return _SAME_AS[stated]
    except TypeError:  # it cannot be hashed
        return None
    return None if isinstance(stated, type) else _CLICK_TYPES.get(str(getattr(stated, "name", "")))


def limits_of(stated: "Any") -> "dict[str, Any]":
    """The limits that a type of click brings along: ``choices``, ``minimum`` and ``maximum``."""
    if stated is None or isinstance(stated, type):
        return {}
    found = {
        "choices": getattr(stated, "choices", None),
        "minimum": getattr(stated, "min", None),
        "maximum": getattr(stated, "max", None),
    }
    return {name: value for name, value in found.items() if value is not None}


def convert(kind: "Any", given: "Any") -> "Any":
    """The value of a type that a text stands for; a value of that type stays what it is.

    Raises:
        ValueError: a text that says nothing of that type.
        TypeError: a value of another type.
    """
    if kind is JSONType:
        return json.loads(given) if isinstance(given, str) else given
    if kind is bool:
        return _boolean(given)
    if kind is str:
        if not isinstance(given, str):
            raise TypeError
        return given
    if isinstance(given, bool) or (kind is int and isinstance(given, float)):
        raise TypeError
    return kind(given)


def _boolean(given: "Any") -> bool:
    if isinstance(given, bool):
        return given
    word = given.strip().lower() if isinstance(given, str) else None
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError
