"""Shows the progress of resolving and downloading: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from typing import Protocol, TextIO

_WIDTH = 28  # characters of the bar; with the byte counts behind it a line stays below 80
_REDRAW_SECONDS = 0.1  # many threads report bytes: drawing at every report would slow them down


class Progress(Protocol):
    """Receiver of progress reports; may be called from many threads."""

    def say(self, text: str) -> None:
        """Report that something began or ended."""

    def expect(self, size: int) -> None:
        """Report that ``size`` more bytes will be downloaded."""

    def advance(self, size: int) -> None:
        """Report that ``size`` bytes arrived; negative when bytes of a failed try do not count."""

    def finish(self) -> None:
        """Report that everything expected has arrived, or that the download failed."""


class Silence:
    """Progress that shows nothing."""

    def say(self, text: str) -> None:
        """Show nothing."""

    def expect(self, size: int) -> None:
        """Show nothing."""

    def advance(self, size: int) -> None:
        """Show nothing."""

    def finish(self) -> None:
        """Show nothing."""


class Lines:
    """Progress as plain lines: each text, and at the end the number of bytes and the time."""

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
        """Remember the time of the first call; the sizes are not shown."""
        del size
        with self._mutex:
            self._began = self._began or time.monotonic()

    def advance(self, size: int) -> None:
        """Count the bytes."""
        with self._mutex:
            self._done += size

    def finish(self) -> None:
        """Print the number of bytes and the time, if any bytes arrived."""
        if self._done:
            seconds = time.monotonic() - self._began
            self.say(f"    {_megabytes(self._done)} in {seconds:.1f} s")
        self._done, self._began = 0, 0.0


class Bar(Lines):
    """Progress as a bar with byte counts that is drawn over itself."""

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
        """Replace the bar by a line with the number of bytes and the time."""
        super().finish()
        self._total = 0

    def _text(self) -> str:
        share = min(1.0, self._done / self._total) if self._total else 0.0
        filled = int(share * _WIDTH)
        bar = "█" * filled + "░" * (_WIDTH - filled)
        return f"    {bar} {_megabytes(self._done)} of {_megabytes(self._total)}"


def open_progress(stream: TextIO | None = None) -> Progress:
    """Progress for a stream (stderr if None): a bar on a terminal, else lines."""
    stream = sys.stderr if stream is None else stream
    return Bar(stream) if stream.isatty() else Lines(stream)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
