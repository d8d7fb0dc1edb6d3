"""Lines that a run on the command line prints, in Metaflow's format."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from typing import TextIO

from airflow_conda_flow.datastore.terminal_row import room_for_lines
from airflow_conda_flow.flow.long_words import readable
from airflow_conda_flow.runner.machine_refusal import lost_output_line


class Console:
    """Thread-safe printer of whole lines.

    Lines of tasks and of the run go to ``out``, each with the local time. Notes and failures go to ``err``
    without a time, so that a pipe on standard output receives nothing but the run.

    Args:
        out: standard output if None.
        err: standard error if None.
        quiet: print no notes.

    Attributes:
        is_quiet: whether notes, and the progress of others, are to be left out.
        has_lost_lines: whether a line of the run or of a task could not be written, as on a full disk.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None, *, quiet: bool = False) -> None:
        self._out = sys.stdout if out is None else out
        self._err = sys.stderr if err is None else err
        self.is_quiet = quiet
        self.has_lost_lines = False
        self._mutex = threading.Lock()
        self._reader_left: Callable[[], None] | None = None

    def on_reader_left(self, act: Callable[[], None]) -> None:
        """Call ``act`` for every line that can no longer be written, as behind ``| head``."""
        self._reader_left = act

    def run_line(self, text: str) -> None:
        """Print a line of the run, such as ``Done!``."""
        self._write(self._out, f"{_now()} {text}\n")

    def task_line(self, pathspec: str, process: str | None, text: str) -> None:
        """Print a line about a task or from a task."""
        suffix = "" if process is None else f" ({process})"
        self._write(self._out, f"{_now()} [{pathspec}{suffix}] {text}\n")

    def note(self, text: str) -> None:
        """Print a note for the person at the terminal, unless quiet."""
        if not self.is_quiet:
            self._write(self._err, f"{readable(text)}\n")

    def error(self, text: str) -> None:
        """Print a line about the failure of the run."""
        self._write(self._err, f"{readable(text)}\n")

    def _write(self, stream: TextIO, line: str) -> None:
        with self._mutex, room_for_lines():
            try:
                self._write_encoded(stream, line)
            except BrokenPipeError:
                if self._reader_left is None:
                    raise
                self._reader_left()
            except OSError as error:
                # No reason to end tasks that may have run for hours: what they print is stored with them.
                self._lose(stream, error)

    def _lose(self, stream: TextIO, error: OSError) -> None:
        if stream is self._err or self.has_lost_lines:
            return
        self.has_lost_lines = True
        with contextlib.suppress(OSError):
            self._write_encoded(self._err, f"{lost_output_line(error)} Tasks go on all the same.\n")

    def _write_encoded(self, stream: TextIO, line: str) -> None:
        try:
            stream.write(line)
        except UnicodeEncodeError:  # the terminal's encoding lacks a character, as under LANG=C
            encoding = stream.encoding or "ascii"
            stream.write(line.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()


def _now() -> str:
    return datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
