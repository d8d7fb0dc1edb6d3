"""Kinds of the values in stored documents: a value that no version wrote is found before anything is used.

A checksum tells that a document is as it was written, and not who wrote it, so documents with a checksum are
checked too.

A kind is one of:

- a type of JSON values, or a tuple of several; ``object`` is any
- a regular expression that a text matches as a whole
- a function that returns True for a value of the kind
- ``[kind]``: a list; ``Each(kind)``: an object with any keys; ``OrNull(kind)``: this or null
- ``{"key": kind, "other?": kind}``: an object with these keys, of which the second may be missing, and others
"""

import math
import re

from airflow_conda_flow.records.times import stated_moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Check = Callable[[Any], "Fault | None"]
    Fault = tuple[tuple[str, ...], Any]  # the keys that lead to a value, the innermost first, and the value

DIGEST = re.compile("[0-9a-f]{64}")
PART = re.compile(r"(?!\.)[^/\\\x00-\x1f\x7f\ud800-\udfff]{1,255}")
"""Text that may become the name of a file or folder."""
PATH = re.compile(r"(?!/)(?!(?:[^\x00]*/)?\.\.(?:/|\Z))[^\x00-\x1f\x7f]{1,4096}")
"""Relative path that stays below its folder."""
_PATTERN = type(DIGEST)
_LARGEST = 2**53  # of the whole numbers that every reader of JSON has
_MOST_ATTEMPTS = 10**6  # no step is tried so often; a larger number would make loops over attempts endless
_LONGEST = 80  # characters of a wrong value that a message shows
_MISSING = object()


class Each:
    """Kind of an object whose values are all of one kind."""

    def __init__(self, kind: "Any") -> None:
        self.kind = kind


class OrNull:
    """Kind of a value that may be null."""

    def __init__(self, kind: "Any") -> None:
        self.kind = kind


def is_identifier(value: "Any") -> bool:
    """True for the name of a step."""
    return isinstance(value, str) and value.isidentifier()


def is_count(value: "Any") -> bool:
    """True for a whole number from 0 up.

    >>> is_count(0), is_count(-1), is_count(True), is_count(1.0), is_count(10**30)
    (True, False, False, False, False)
    """
    return type(value) is int and 0 <= value <= _LARGEST


def is_attempt(value: "Any") -> bool:
    """True for the number of an attempt."""
    return is_count(value) and value <= _MOST_ATTEMPTS


def is_duration(value: "Any") -> bool:
    """True for a number of seconds from 0 up.

    >>> is_duration(0.5), is_duration(float("nan")), is_duration(float("inf")), is_duration(-1)
    (True, False, False, False)
    """
    return type(value) in (int, float) and value >= 0 and value <= _LARGEST and math.isfinite(value)


def is_time(value: "Any") -> bool:
    """True for a time as manifests state it.

    >>> is_time("2026-11-24T02:00:00.000001+00:00"), is_time("2026-02-30T02:00:00+00:00")
    (True, False)
    """
    try:
        return isinstance(value, str) and stated_moment(value) is not None
    except ValueError:
        return False


class Shape:
    """Kind of a whole document. Kinds become functions once: a run reads thousands of manifests.

    Args:
        kinds: kind of each key, as above.

    >>> Shape({"a": int, "b": {"c": [int]}, "d?": str}).fault({"a": 1, "b": {"c": [1, None]}})
    'its b.c.1 is None'
    >>> Shape({"a": {"c": int}}).fault({"a": {"b": 1}})
    "it has no 'a.c'"
    """

    def __init__(self, kinds: "Mapping[str, Any]") -> None:
        self._check = _of_object(kinds)

    def fault(self, document: "Mapping[str, Any]") -> "str | None":
        """A few words about the first key that is missing or has a value of another kind; else None."""
        fault = self._check(document)
        if fault is None:
            return None
        keys, value = fault
        name = ".".join(reversed(keys))
        if value is _MISSING:
            return "it has no %r" % name
        text = repr(value)
        shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
        return "its %s is %s" % (name if name.isprintable() else repr(name), shown)


def _check_of(kind: "Any") -> "Check":  # noqa: PLR0911 - one for each kind
    if isinstance(kind, OrNull):
        of_value = _check_of(kind.kind)
        return lambda value: None if value is None else of_value(value)
    if isinstance(kind, dict):
        return _of_object(kind)
    if isinstance(kind, Each):
        return _of_parts(dict, dict.items, _check_of(kind.kind))
    if isinstance(kind, list):
        return _of_parts(list, enumerate, _check_of(kind[0]))
    if isinstance(kind, _PATTERN):
        match = kind.fullmatch
        return lambda value: None if type(value) is str and match(value) is not None else ((), value)
    if kind is object:
        return lambda _value: None
    # JSON gives no subclasses, and True is no number: types are compared.
    if isinstance(kind, type):
        return lambda value: None if type(value) is kind else ((), value)
    if isinstance(kind, tuple):
        return lambda value: None if type(value) in kind else ((), value)
    return lambda value: None if kind(value) else ((), value)


def _of_object(kinds: "Mapping[str, Any]") -> "Check":
    checks = [(key.rstrip("?"), key.endswith("?"), _check_of(kind)) for key, kind in kinds.items()]

    def check(value: "Any") -> "Fault | None":
        if type(value) is not dict:
            return (), value
        for name, may_lack, of_value in checks:
            if name in value:
                fault = of_value(value[name])
                if fault is not None:
                    return fault[0] + (name,), fault[1]
            elif not may_lack:
                return (name,), _MISSING
        return None

    return check


def _of_parts(of_type: type, parts_of: "Any", of_part: "Check") -> "Check":
    def check(value: "Any") -> "Fault | None":
        if type(value) is not of_type:
            return (), value
        for name, each in parts_of(value):
            fault = of_part(each)
            if fault is not None:
                return fault[0] + (str(name),), fault[1]
        return None

    return check
