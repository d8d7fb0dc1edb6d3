"""Bounds of JSON and YAML that people and files give: how deep, and how many values.

A few kilobytes of brackets exhaust Python's stack, and a few lines of YAML whose aliases name each other
stand for more values than any memory holds. Both are refused before anything walks over them.
"""

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# A fifth of Python's recursion limit: code that walks through a value may use several frames a level.
MOST_DEPTH = 200
# They take some 100 MB in each process that reads them.
MOST_VALUES = 1000000
_SHOWN = 200  # characters of a wrong value that a message shows


def shown(value: "Any") -> str:
    """The value as Python writes it for a message, cut if it is long."""
    try:
        text = repr(value)
    except RecursionError:
        return "a %s that is nested too deeply" % type(value).__name__
    return text if len(text) <= _SHOWN else "%s... (%d characters)" % (text[:_SHOWN], len(text))


class OutOfBounds(ValueError):
    """The value is nested too deeply, or has too many parts; the message continues "It is"."""


def loads(text: str) -> "Any":
    """Value of a JSON text.

    Raises:
        ValueError: the text is not JSON, or an ``OutOfBounds``.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise OutOfBounds("nested more than %d deep" % MOST_DEPTH) from None
    return within_bounds(value)


def within_bounds(value: "Any") -> "Any":
    """The value itself; a part that is named several times counts each time.

    Raises:
        OutOfBounds: it is nested too deeply, also in itself, or has too many parts.
    """
    left, waiting = MOST_VALUES, [(value, 0)]
    while waiting:
        part, depth = waiting.pop()
        parts = part.values() if isinstance(part, dict) else part if isinstance(part, (list, tuple)) else ()
        left -= len(parts)
        if depth > MOST_DEPTH:
            raise OutOfBounds("nested more than %d deep" % MOST_DEPTH)
        if left < 0:
            raise OutOfBounds("of more than %d values" % MOST_VALUES)
        waiting.extend((each, depth + 1) for each in parts)
    return value
