"""The lines that a local run prints, in the form that Metaflow's users know."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from datetime import datetime
from typing import TextIO


class Console:
    """Prints whole lines, each with the time; safe to use from many threads.

    Task lines and the run's own lines go to ``out``; what is said about the run (its flow, its
    failure) goes to ``err``, so that a pipe on standard output holds the run alone.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None, *, quiet: bool = False) -> None:
        self._out = sys.stdout if out is None else out
        self._err = sys.stderr if err is None else err
        self._quiet = quiet
        self._mutex = threading.Lock()
        self._reader_left: Callable[[], None] | None = None

    def on_reader_left(self, act: Callable[[], None]) -> None:
        """Call ``act`` once nobody reads what is printed any more, as behind ``| head``."""
        self._reader_left = act

    def run_line(self, text: str) -> None:
        """Print a line of the run itself, such as ``Done!``."""
        self._write(self._out, f"{_now()} {text}\n")

    def task_line(self, pathspec: str, process: str | None, text: str) -> None:
        """Print a line about a task, or a line that the task printed."""
        suffix = "" if process is None else f" ({process})"
        self._write(self._out, f"{_now()} [{pathspec}{suffix}] {text}\n")

    def note(self, text: str) -> None:
        """Print a line about the run for the person at the terminal, unless quiet."""
        if not self._quiet:
            self._write(self._err, f"{text}\n")

    def error(self, text: str) -> None:
        """Print why the run failed."""
        self._write(self._err, f"{text}\n")

    def _write(self, stream: TextIO, line: str) -> None:
        with self._mutex:
            try:
                self._write_encoded(stream, line)
            except BrokenPipeError:
                if self._reader_left is None:
                    raise
                self._reader_left()

    def _write_encoded(self, stream: TextIO, line: str) -> None:
        try:
            stream.write(line)
        except UnicodeEncodeError:
            encoding = stream.encoding or "ascii"
            stream.write(line.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()


def _now() -> str:
    return datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
