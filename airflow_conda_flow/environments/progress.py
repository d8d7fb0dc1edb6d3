"""Shows the progress of resolving and downloading: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from airflow_conda_flow.environments.drawn_line import DrawnLine, can_draw

_REDRAW_SECONDS = 0.1  # many threads report bytes: drawing at every report would slow them down


class Progress(Protocol):
    """Receiver of progress reports; may be called from many threads."""

    def say(self, text: str) -> None:
        """Report that something began or ended."""

    def warn(self, text: str) -> None:
        """Report that something is not as it should be, and what is done about it."""

    def phase(self, text: str, total: int, unit: str) -> AbstractContextManager[Callable[[int], None]]:
        """Report that work begins, and at the end of the block that it is done; not if the block raises.

        Args:
            text: the work, for people, such as ``Packing the environment of step train``; several lines if
                several things are done together.
            total: how many units there are; 0 if that is not known.
            unit: the unit in the plural, such as ``packages`` or ``bytes``.

        Returns:
            a context manager; it gives a function to call with the number of further units that are done,
            negative when bytes of a failed try do not count.
        """


class Silence:
    """Progress that shows nothing."""

    @contextmanager
    def phase(self, text: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Show nothing."""
        del text, total, unit
        yield lambda _more: None

    def say(self, text: str) -> None:
        """Show nothing."""

    def warn(self, text: str) -> None:
        """Show nothing."""


class Warnings(Silence):
    """Progress that shows nothing but warnings, as lines.

    Args:
        stream: where they are printed.
    """

    def __init__(self, stream: TextIO) -> None:
        self._lines = Lines(stream)

    def warn(self, text: str) -> None:
        """Print the text."""
        self._lines.say(text)


@dataclass(eq=False)
class _Phase:
    """A phase that runs: how many of its units are done, and when it began."""

    total: int
    unit: str
    done: int = 0
    began: float = field(default_factory=time.monotonic)


def phase_end(done: int, unit: str, seconds: float) -> str:
    """How a phase ended, for people.

    >>> phase_end(21, "packages", 1.26), phase_end(1, "files", 0.04), phase_end(0, "files", 2)
    ('21 packages in 1.3 s', '1 file in 0.0 s', 'done in 2.0 s')
    >>> phase_end(64_000_000, "bytes", 2)
    '64.0 MB in 2.0 s'
    """
    units = unit.removesuffix("s") if done == 1 else unit
    counted = _megabytes(done) if unit == "bytes" else f"{done} {units}"
    return f"{counted if done else 'done'} in {seconds:.1f} s"


class Lines:
    """Progress as plain lines: each text, and at the end of a phase its count and the time."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._mutex = threading.Lock()

    def say(self, text: str) -> None:
        """Print the text."""
        with self._mutex:
            self._stream.write(f"{text}\n")
            self._stream.flush()

    def warn(self, text: str) -> None:
        """Print the text."""
        self.say(text)

    @contextmanager
    def phase(self, text: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Print the text, and at the end the number of units and the time; no end after a failure."""
        self.say(text)
        phase = _Phase(total, unit)
        self._enter(phase)
        try:
            yield lambda more: self._advance(phase, more)
        finally:
            self._leave(phase)
        self.say(f"    {phase_end(phase.done, unit, time.monotonic() - phase.began)}")

    def _enter(self, phase: _Phase) -> None:
        """Note a phase that has begun."""

    def _leave(self, phase: _Phase) -> None:
        """Forget a phase that has ended."""

    def _advance(self, phase: _Phase, more: int) -> None:
        with self._mutex:
            phase.done += more


class Bar(Lines):
    """Progress as a bar with counts that is drawn over itself."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._line = DrawnLine(stream)
        self._drawn = 0.0
        self._phases: list[_Phase] = []

    def say(self, text: str) -> None:
        """Print the text above the bar."""
        with self._mutex:
            self._line.print(text)

    def _enter(self, phase: _Phase) -> None:
        with self._mutex:
            self._phases.append(phase)

    def _leave(self, phase: _Phase) -> None:
        with self._mutex:
            self._phases.remove(phase)
            self._line.erase()

    def _advance(self, phase: _Phase, more: int) -> None:
        super()._advance(phase, more)
        with self._mutex:
            now = time.monotonic()
            # Of several that run at once the newest: a terminal's line has room for one. One that was left
            # may still report: a thread whose connection stands still is not waited for.
            if self._phases and now - self._drawn > _REDRAW_SECONDS:
                self._drawn = now
                newest = self._phases[-1]
                share = newest.done / newest.total if newest.total else 0.0
                self._line.draw(_counts(newest), share, indent="    ")


def _counts(phase: _Phase) -> str:
    known = [phase.done, phase.total] if phase.total else [phase.done]
    counts = " of ".join(_megabytes(each) if phase.unit == "bytes" else str(each) for each in known)
    return counts if phase.unit == "bytes" else f"{counts} {phase.unit}"


def open_progress(stream: TextIO | None = None, *, quiet: bool = False) -> Progress:
    """Progress for a stream (stderr if None): a bar if it can be drawn, else lines; if quiet, warnings."""
    stream = sys.stderr if stream is None else stream
    if quiet:
        return Warnings(stream)
    return Bar(stream) if can_draw(stream) else Lines(stream)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
