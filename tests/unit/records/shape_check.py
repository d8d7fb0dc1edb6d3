"""Compares JSON values with the types of ``records/shapes.py``."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict


def problems(value: Any, shape: Any, place: str = "") -> Iterator[str]:
    """Everything about a value that is not as its type says, each with its place.

    Args:
        value: parsed JSON.
        shape: a ``TypedDict``, or a type that can be part of one.
        place: the name of the value.
    """
    check = _CHECKS.get(get_origin(shape), _plain_problems)
    if is_typeddict(shape):
        check = _document_problems
    if shape is not Any:
        yield from check(value, shape, place)


def _union_problems(value: Any, shape: Any, place: str) -> Iterator[str]:
    found = [list(problems(value, each, place)) for each in get_args(shape)]
    if all(found):
        yield from min(found, key=len)


def _literal_problems(value: Any, shape: Any, place: str) -> Iterator[str]:
    if value not in get_args(shape):
        yield f"{place} is {value!r}, none of {get_args(shape)}"


def _list_problems(value: Any, shape: Any, place: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{place} is {value!r}, no list"
        return
    for number, item in enumerate(value):
        yield from problems(item, get_args(shape)[0], f"{place}[{number}]")


def _dict_problems(value: Any, shape: Any, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place} is {value!r}, no dict"
        return
    for key, item in value.items():
        yield from problems(item, get_args(shape)[1], f"{place}[{key!r}]")


def _plain_problems(value: Any, shape: Any, place: str) -> Iterator[str]:
    is_number = shape in {int, float} and isinstance(value, (int, shape)) and not isinstance(value, bool)
    if not is_number and type(value) is not shape:
        yield f"{place} is {value!r}, no {shape.__name__}"


def _document_problems(value: Any, shape: Any, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place} is {value!r}, no {shape.__name__}"
        return
    hints = get_type_hints(shape)
    for key in shape.__required_keys__ - value.keys():
        yield f"{place}: {shape.__name__} lacks {key!r}"
    for key in value.keys() - hints.keys():
        yield f"{place}: {shape.__name__} has no {key!r}"
    for key in value.keys() & hints.keys():
        yield from problems(value[key], hints[key], f"{place}.{key}")


_CHECKS = {
    Union: _union_problems,
    types.UnionType: _union_problems,
    Literal: _literal_problems,
    list: _list_problems,
    dict: _dict_problems,
}
