"""Types of parameters: convert texts to values, and check values."""

from airflow_conda_flow.flow.parameters.bounded import loads, within_bounds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TRUE = frozenset(["1", "true", "t", "yes", "y", "on"])
_FALSE = frozenset(["0", "false", "f", "no", "n", "off"])


class _JSONType:
    """Type of a parameter that is given as JSON text and has the parsed JSON as its value."""

    def __repr__(self) -> str:
        return "JSONType"

    # A text as the result makes pickle refer to the module's JSONType, which stays a singleton.
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
# Click's types by their names, so that nothing here has to import click.
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
    """Parameter type for the type that a user wrote; None if it is unknown.

    Users may write one of ours, ``dict`` or ``list`` (both are JSON), or a type of click.
    """
    try:
        if stated in NAMES:
            return stated
        if stated in _SAME_AS:
            return _SAME_AS[stated]
    except TypeError:  # not hashable
        return None
    return None if isinstance(stated, type) else _CLICK_TYPES.get(str(getattr(stated, "name", "")))


def limits_of(stated: "Any") -> "dict[str, Any]":
    """Limits that are part of a click type: ``choices``, ``minimum`` and ``maximum``."""
    if stated is None or isinstance(stated, type):
        return {}
    found = {
        "choices": getattr(stated, "choices", None),
        "minimum": getattr(stated, "min", None),
        "maximum": getattr(stated, "max", None),
    }
    return {name: value for name, value in found.items() if value is not None}


def convert(kind: "Any", given: "Any") -> "Any":
    """Value of the type ``kind`` for a text; a value that has this type already is returned unchanged.

    Raises:
        ValueError: the text cannot be converted to the type.
        TypeError: the value has another type.
    """
    if kind is JSONType:
        return loads(given) if isinstance(given, str) else within_bounds(given)
    if kind is bool:
        return _boolean(given)
    if kind is str:
        if not isinstance(given, str):
            raise TypeError
        return given
    # In Python True is an int, and int(1.5) is 1; neither is what a user means.
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
