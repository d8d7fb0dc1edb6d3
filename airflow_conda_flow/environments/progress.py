"""Shows how resolving and downloading go: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from typing import Protocol, TextIO

_WIDTH = 28
_REDRAW_SECONDS = 0.1


class Progress(Protocol):
    """Told what happens; may be called from many threads."""

    def say(self, text: str) -> None:
        """Something began or ended."""

    def expect(self, size: int) -> None:
        """So many bytes more are to come."""

    def advance(self, size: int) -> None:
        """So many bytes came."""

    def finish(self) -> None:
        """All that was expected is there."""


class Silence:
    """Shows nothing."""

    def say(self, text: str) -> None:
        """Show nothing."""

    def expect(self, size: int) -> None:
        """Show nothing."""

    def advance(self, size: int) -> None:
        """Show nothing."""

    def finish(self) -> None:
        """Show nothing."""


class Lines:
    """Plain lines: what began, and how many bytes it took in the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._mutex = threading.Lock()
        self._done = 0
        self._began = 0.0

    def say(self, text: str) -> None:
        """Print the text."""
        with self._mutex:
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def expect(self, size: int) -> None:
        """Remember when the first bytes were expected."""
        del size
        with self._mutex:
            self._began = self._began or time.monotonic()

    def advance(self, size: int) -> None:
        """Count the bytes."""
        with self._mutex:
            self._done += size

    def finish(self) -> None:
        """Print how much came, if any did."""
        if self._done:
            seconds = time.monotonic() - self._began
            self.say(f"    {_megabytes(self._done)} in {seconds:.1f} s")
        self._done, self._began = 0, 0.0


class Bar(Lines):
    """A bar with bytes that is drawn over itself."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._total = 0
        self._drawn = 0.0

    def say(self, text: str) -> None:
        """Print the text above the bar."""
        super().say(f"\r\x1b[K{text}")

    def expect(self, size: int) -> None:
        """Make the bar longer."""
        super().expect(size)
        with self._mutex:
            self._total += size

    def advance(self, size: int) -> None:
        """Draw the bar again, ten times a second at most."""
        super().advance(size)
        with self._mutex:
            now = time.monotonic()
            if now - self._drawn > _REDRAW_SECONDS:
                self._drawn = now
                self._stream.write(f"\r\x1b[K{self._text()}")
                self._stream.flush()

    def finish(self) -> None:
        """Take the bar away."""
        super().finish()
        self._total = 0

    def _text(self) -> str:
        share = min(1.0, self._done / self._total) if self._total else 0.0
        filled = int(share * _WIDTH)
        bar = "█" * filled + "░" * (_WIDTH - filled)
        return f"    {bar} {_megabytes(self._done)} of {_megabytes(self._total)}"


def open_progress(stream: TextIO | None = None) -> Progress:
    """What suits the stream: a bar on a terminal, else lines."""
    stream = sys.stderr if stream is None else stream
    return Bar(stream) if stream.isatty() else Lines(stream)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
