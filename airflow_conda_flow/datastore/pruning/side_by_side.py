"""Calls that overlap their requests to S3, for any number of items in little memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from airflow_conda_flow.datastore.storage import Storage

# Requests. botocore's pool has 64 connections, and Python's lock is the limit from about here on.
_AT_ONCE = 32
_CHUNK = 1024  # items whose results wait for the slowest of them

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


def each_of(
    storage: Storage, function: Callable[[_Item], _Found], items: Iterable[_Item], at_once: int = _AT_ONCE
) -> Iterator[_Found]:
    """Results of the function for all items, in order; from S3 many at a time."""
    if storage.kind == "local":
        yield from map(function, items)
        return
    remaining = iter(items)
    with ThreadPoolExecutor(at_once, thread_name_prefix="prune") as pool:
        while chunk := list(itertools.islice(remaining, _CHUNK)):
            yield from pool.map(function, chunk)
