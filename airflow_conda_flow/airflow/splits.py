"""The splits of a foreach as Airflow is told of them: the values of XComs, which a step is mapped over.

A *range* is the index path of its first split and the end of the last index, in one list: ``[3, 0, 40]`` are
the splits 3-0 to 3-39. An *element* is the value of one mapped task: the index path of a split, or a *block*.
A block is ``{"ranges": [...]}``, consecutive splits that one task runs. Airflow knows nothing else of splits.
A split is identified by its index path, however the splits are grouped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

_RANGES = "ranges"
_PATH_AND_END = 2
"""Parts of a range outside any other foreach: the first index and the end."""

Range = list[int]
Block = dict[str, list[Range]]
Element = list[int] | Block
Path = tuple[int, ...]


def split_range(outer: Sequence[int], num_splits: int) -> Range:
    """Range of all splits of one foreach task.

    >>> split_range((3,), 40)
    [3, 0, 40]
    """
    return [*outer, 0, num_splits]


def as_block(ranges: Iterable[Range]) -> Block:
    """The ranges as one value: a block, and what a nested foreach's tasks return.

    >>> as_block([[3, 0, 40]])
    {'ranges': [[3, 0, 40]]}
    """
    return {_RANGES: list(ranges)}


def ranges_of(value: Any) -> list[Range]:
    """Ranges in what a task of a nested foreach returned; earlier versions returned the index paths.

    >>> ranges_of({"ranges": [[3, 0, 40]]}), ranges_of([[3, 0], [3, 1]])
    ([[3, 0, 40]], [[3, 0, 1], [3, 1, 2]])
    """
    if isinstance(value, dict):
        return [list(each) for each in value[_RANGES]]
    return [[*path, path[-1] + 1] for path in value]


def is_block(indices: Any) -> bool:
    """True for a block, False for an index path.

    >>> is_block([3]), is_block({"ranges": [[0, 40]]})
    (False, True)
    """
    return isinstance(indices, dict)


def paths_of(element: Any) -> list[Path]:
    """Index paths of an element, in order.

    >>> paths_of([3, 1]), paths_of({"ranges": [[3, 39, 40], [4, 0, 2]]})
    ([(3, 1)], [(3, 39), (4, 0), (4, 1)])
    """
    if not is_block(element):
        return [tuple(element)]
    return [(*outer, index) for *outer, first, end in element[_RANGES] for index in range(first, end)]


class Sharing(NamedTuple):
    """How the splits of a foreach are shared out among mapped tasks.

    Attributes:
        tasks: splits up to which each one is a task; 1 or more.
        blocks: tasks that more splits than that are shared out among; 1 or more, and at most ``tasks``.
    """

    tasks: int
    blocks: int


def mapped_over(ranges: Iterable[Range], sharing: Sharing) -> list[Element]:
    """Elements for the mapped tasks of some splits: one split each, or blocks of about equal length.

    >>> mapped_over([[0, 3]], Sharing(3, 2))
    [[0], [1], [2]]
    >>> mapped_over([[0, 0, 3], [1, 0, 2]], Sharing(4, 2))
    [{'ranges': [[0, 0, 2]]}, {'ranges': [[0, 2, 3], [1, 0, 2]]}]
    >>> mapped_over([[0, 3]], Sharing(2, 2))
    [[0], {'ranges': [[1, 3]]}]

    Args:
        ranges: the ranges of all splits, in order.
        sharing: how many tasks there may be.
    """
    left = deque(list(each) for each in ranges if each[-1] > each[-2])
    total = sum(end - first for *_, first, end in left)
    if total <= sharing.tasks:
        return [list(path) for path in paths_of(as_block(left))]
    ends = [number * total // sharing.blocks for number in range(sharing.blocks + 1)]
    return [_element(_take(left, end - begin)) for begin, end in pairwise(ends)]


def _take(left: deque[Range], length: int) -> list[Range]:
    """Remove so many splits from the front, and return their ranges."""
    taken = []
    while length:
        *outer, first, end = left.popleft()
        cut = min(end, first + length)
        taken.append([*outer, first, cut])
        length -= cut - first
        if cut < end:
            left.appendleft([*outer, cut, end])
    return taken


def _element(ranges: list[Range]) -> Element:
    paths = paths_of(as_block(ranges)) if len(ranges) == 1 else []
    return list(paths[0]) if len(paths) == 1 else as_block(ranges)


def block_title(block: Any) -> str:
    """Name of a block's mapped task in Airflow's UI.

    >>> block_title({"ranges": [[256, 512]]}), block_title({"ranges": [[3, 39, 40], [4, 0, 2]]})
    ('items 256 to 511', 'items 3-39 to 4-1')
    """
    ranges = block[_RANGES]
    first, last = ranges[0][:-1], [*ranges[-1][:-_PATH_AND_END], ranges[-1][-1] - 1]
    return f"items {path_text(first)} to {path_text(last)}"


def path_text(path: Sequence[int]) -> str:
    """Index path as text.

    >>> path_text((3, 1))
    '3-1'
    """
    return "-".join(map(str, path))
