"""Shows the progress of a prune: a bar on a terminal, a line for each phase elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from airflow_conda_flow.datastore.pruning.amounts import size_text

_REDRAW_SECONDS = 0.1  # faster than anybody reads
_SAY_EVERY_SECONDS = 30.0  # a log keeps every line, and a prune may take hours
_WIDTH = 20  # characters of the bar; the line fits 80 columns


class PruneReport:
    """Progress on a stream, stderr if None."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._is_terminal = self._stream.isatty()
        self._phase = ""
        self._total: int | None = None
        self._done = self._size = 0
        self._shown = 0.0

    def phase(self, text: str, total: int | None = None) -> None:
        """Begin a phase."""
        self._phase, self._total, self._done, self._size = text, total, 0, 0
        self._shown = time.monotonic()
        if self._is_terminal:
            self._draw()
        else:
            self._line(text)

    def step(self, count: int = 1, size: int = 0) -> None:
        """Count steps and bytes; shown ten times a second on a terminal, else every half minute."""
        self._done += count
        self._size += size
        now = time.monotonic()
        if now - self._shown > (_REDRAW_SECONDS if self._is_terminal else _SAY_EVERY_SECONDS):
            self._shown = now
            if self._is_terminal:
                self._draw()
            else:
                self._line(self._text())

    def say(self, text: str) -> None:
        """Print a line of its own."""
        self._line(text)

    def close(self) -> None:
        """Remove the line that was drawn."""
        if self._is_terminal and self._phase:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _draw(self) -> None:
        self._stream.write(f"\r\x1b[K{self._text()}")
        self._stream.flush()

    def _line(self, text: str) -> None:
        self._stream.write(f"\r\x1b[K{text}\n" if self._is_terminal else f"{text}\n")
        self._stream.flush()

    def _text(self) -> str:
        size = f", {size_text(self._size)}" if self._size else ""
        if not self._total:
            return f"{self._phase}: {self._done:,}{size}"
        filled = int(min(1.0, self._done / self._total) * _WIDTH)
        bar = "█" * filled + "░" * (_WIDTH - filled)
        return f"{bar} {self._phase}: {self._done:,} of {self._total:,}{size}"
