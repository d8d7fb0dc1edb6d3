"""Shows the progress of a prune: a bar on a terminal, a line for each phase elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from airflow_conda_flow.datastore.pruning.amounts import size_text
from airflow_conda_flow.environments.drawn_line import DrawnLine, can_draw

_REDRAW_SECONDS = 0.1  # faster than anybody reads
_SAY_EVERY_SECONDS = 30.0  # a log keeps every line, and a prune may take hours


class PruneReport:
    """Progress on a stream, stderr if None."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._drawn = DrawnLine(self._stream) if can_draw(self._stream) else None
        self._phase = ""
        self._total: int | None = None
        self._done = self._size = 0
        self._shown = 0.0

    def phase(self, text: str, total: int | None = None) -> None:
        """Begin a phase."""
        self._phase, self._total, self._done, self._size = text, total, 0, 0
        self._shown = time.monotonic()
        if self._drawn is None:
            self.say(text)
        else:
            self._draw(self._drawn)

    def step(self, count: int = 1, size: int = 0) -> None:
        """Count steps and bytes; shown ten times a second on a terminal, else every half minute."""
        self._done += count
        self._size += size
        now = time.monotonic()
        if now - self._shown > (_SAY_EVERY_SECONDS if self._drawn is None else _REDRAW_SECONDS):
            self._shown = now
            if self._drawn is None:
                self.say(self._text())
            else:
                self._draw(self._drawn)

    def say(self, text: str) -> None:
        """Print a line of its own."""
        if self._drawn is None:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        else:
            self._drawn.print(text)

    def close(self) -> None:
        """Remove the line that was drawn."""
        if self._drawn is not None and self._phase:
            self._drawn.erase()

    def _draw(self, line: DrawnLine) -> None:
        line.draw(self._text(), self._done / self._total if self._total else None)

    def _text(self) -> str:
        size = f", {size_text(self._size)}" if self._size else ""
        of = f" of {self._total:,}" if self._total else ""
        return f"{self._phase}: {self._done:,}{of}{size}"
