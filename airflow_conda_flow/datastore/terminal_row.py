"""The last row of a terminal, where a bar is drawn: lines are printed in its place, the bar below them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Drawn:
    """How the row that is drawn now is erased, and drawn again as it was."""

    erase: Callable[[], None]
    redraw: Callable[[], None]


class _Row:
    """Who has drawn on the row, if anybody has."""

    def __init__(self) -> None:
        self.mutex = threading.RLock()
        self.drawn: Drawn | None = None


_row = _Row()


def _begin_anew() -> None:
    """Another thread may hold the mutex while a process is forked, and would never free it there."""
    global _row  # noqa: PLW0603
    _row = _Row()


os.register_at_fork(after_in_child=_begin_anew)


def is_drawn() -> bool:
    """True if something is on the row; for a signal handler, which may wait for nobody."""
    return _row.drawn is not None


@contextlib.contextmanager
def drawing(after: Drawn | None) -> Iterator[None]:
    """Let the block write the row, while nobody prints a line; ``after`` it is drawn so, or empty."""
    with _row.mutex:
        _row.drawn = after
        yield


@contextlib.contextmanager
def room_for_lines() -> Iterator[None]:
    """Let the block print whole lines and flush them; none of them begins behind a bar."""
    with _row.mutex:
        drawn = _row.drawn
        if drawn is not None:
            drawn.erase()
        yield
        if drawn is not None:
            drawn.redraw()
