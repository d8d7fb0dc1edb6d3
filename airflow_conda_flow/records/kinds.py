"""Kinds of the values in documents without a checksum: another form is found before anything of it is used.

A kind is one of:

- a type or several, as ``isinstance`` takes them; ``int`` and ``float`` are no ``bool``
- a regular expression that a text matches as a whole
- ``[kind]``: a list; ``Each(kind)``: an object with any keys; ``OrNull(kind)``: this or null
- ``{"key": kind, "other?": kind}``: an object with these keys, of which the second may be missing, and others
"""

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

DIGEST = re.compile("[0-9a-f]{64}")
TIME = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?\+00:00"
)
"""A time as manifests state it: ISO 8601, UTC."""
_PATTERN = type(DIGEST)
_NUMBERS = (int, float, (int, float))
_LONGEST = 80


class Each:
    """Kind of an object whose values are all of one kind."""

    def __init__(self, kind: "Any") -> None:
        self.kind = kind


class OrNull:
    """Kind of a value that may be null."""

    def __init__(self, kind: "Any") -> None:
        self.kind = kind


def lacking(document: "Mapping[str, Any]", kinds: "Mapping[str, Any]", within: str = "") -> "str | None":
    """A few words about the first key that is missing or has a value of another kind; None if there is none.

    >>> lacking({"a": 1, "b": {"c": [1, None]}}, {"a": int, "b": {"c": [int]}, "d?": str})
    "its b.c.1 is None"
    """
    for key, kind in kinds.items():
        name = key.rstrip("?")
        if name in document:
            fault = _fault(document[name], kind, within + name)
        else:
            fault = None if name != key else "it has no %r" % (within + name)
        if fault:
            return fault
    return None


def _fault(value: "Any", kind: "Any", name: str) -> "str | None":  # noqa: PLR0911 - one for each kind
    if isinstance(kind, OrNull):
        return None if value is None else _fault(value, kind.kind, name)
    if isinstance(kind, (type, tuple)):
        is_right = isinstance(value, kind) and not (isinstance(value, bool) and kind in _NUMBERS)
        return None if is_right else _words(value, name)
    if isinstance(kind, _PATTERN):
        return None if isinstance(value, str) and kind.fullmatch(value) else _words(value, name)
    if isinstance(kind, list):
        if not isinstance(value, list):
            return _words(value, name)
        parts = ((str(number), each, kind[0]) for number, each in enumerate(value))
    elif not isinstance(value, dict):
        return _words(value, name)
    elif isinstance(kind, Each):
        parts = ((each, value[each], kind.kind) for each in value)
    else:
        return lacking(value, kind, name + ".")
    for part, each, of_part in parts:
        fault = _fault(each, of_part, "%s.%s" % (name, part))
        if fault:
            return fault
    return None


def _words(value: "Any", name: str) -> str:
    text = repr(value)
    shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    return "its %s is %s" % (name if name.isprintable() else repr(name), shown)
