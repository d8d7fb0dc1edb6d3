"""``DrawnLine``: the last line of a terminal, drawn over itself."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from typing import TextIO

from airflow_conda_flow.datastore.terminal_row import Drawn, drawing

_ERASE = "\r\x1b[K"  # of one row: a line that wraps would leave its first rows
_WIDTH = 28  # characters of the bar where there is room
_SHORTEST = 5  # a bar of fewer characters says less than the text that it would take the room of
_USUAL_COLUMNS = 80  # those of a terminal that does not tell its own


def can_draw(stream: TextIO) -> bool:
    """True if a stream is on a terminal that can erase a row; a shell in an editor often cannot."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class DrawnLine:
    """A bar and a text in the last row of a terminal; never more than fits into the row."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def draw(self, text: str, share: float | None = None, indent: str = "") -> None:
        """Replace the row.

        Args:
            text: counts, for people; cut if the terminal is narrower.
            share: how much is done, between 0 and 1, drawn as a bar; no bar if None.
            indent: of the whole row.
        """
        room = _columns(self._stream) - 1  # a row that is quite full wraps on some terminals
        width = min(_WIDTH, room - len(indent) - len(text) - 1)
        if share is not None and width >= _SHORTEST:
            filled = int(min(1.0, share) * width)
            text = "█" * filled + "░" * (width - filled) + f" {text}"
        row = f"{_ERASE}{f'{indent}{text}'[:room]}"
        with drawing(Drawn(partial(self._try, _ERASE), partial(self._try, row))):
            self._write(row)

    def erase(self) -> None:
        """Empty the row."""
        with drawing(None):
            self._write(_ERASE)

    def print(self, text: str) -> None:
        """Print a whole line, of any length, in place of the row."""
        with drawing(None):
            self._write(f"{_ERASE}{text}\n")

    def _try(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal is gone, which whoever draws finds out
            self._write(text)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _columns(stream: TextIO) -> int:
    """Columns of the terminal, which may be resized at any time."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _USUAL_COLUMNS
    except (OSError, ValueError):  # not a terminal, or closed
        return _USUAL_COLUMNS
