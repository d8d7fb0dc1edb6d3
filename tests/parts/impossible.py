"""Impossible values: every key of a document, changed into what no version of ours has written there."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

VALUES = [
    None, True, -1, 0, 2, 300, 1.5, float("nan"), float("inf"), 10**9, 10**30, -(10**30),
    "", "x", "../../x", "a/b", "\0", "\n", "\udc80", "x" * 300, "0" * 64,
    "9999-12-31T23:59:59.999999+00:00", "2026-02-30T00:00:00+00:00", "0001-01-01T00:00:00+00:00",
    [], [None], ["x"], [[]], {}, {"x": None}, {"": {}},
]  # fmt: skip
MISSING = object()


def impossible(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Words about a change, and the changed document, for each key and each value; some changes are possible."""
    for path in _paths(document):
        for value in (MISSING, *VALUES):
            changed = copy.deepcopy(document)
            *before, last = path
            parent: Any = changed
            for each in before:
                parent = parent[each]
            if value is MISSING:
                del parent[last]
            elif type(parent[last]) is type(value) and parent[last] == value:
                continue
            else:
                parent[last] = value
            name = ".".join(map(str, path))
            yield f"no {name}" if value is MISSING else f"{name} = {repr(value)[:40]}", changed


def _paths(value: Any) -> Iterator[tuple[Any, ...]]:
    """Keys that lead to each part; of a list, of its first two."""
    parts = value.items() if isinstance(value, dict) else ()
    parts = list(enumerate(value))[:2] if isinstance(value, list) else parts
    for key, each in parts:
        yield (key,)
        yield from ((key, *rest) for rest in _paths(each))
