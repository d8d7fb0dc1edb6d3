"""Command line of a flow file as a child process, with its output in files."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from airflow_conda_flow.errors import LaunchError

STREAMS = ("stdout", "stderr")
_PAUSE = 0.05
"""Seconds between two checks of the process and its output: short enough for lines to seem immediate."""

_GRACE = 60.0
"""Seconds that a run has to end its tasks before it is killed.

A step process gets 5 seconds (``runner.step_process``), and a pod 45 to disappear
(``compute.kubernetes.watch``).
If this were shorter, a run could be killed before it has ended its steps and recorded their failure.
"""


class FlowCommand:
    """A command of a flow file as a process, running or ended. The process starts at once.

    Its output goes to files and not to pipes, so that it never waits for a reader.

    Args:
        words: the whole command line.
        directory: existing directory for the output files.
        environ: environment variables of the process.
        cwd: directory to run in; the current one if None.

    Raises:
        LaunchError: the process cannot be started.
    """

    def __init__(
        self, words: Sequence[str], directory: Path, environ: Mapping[str, str], cwd: str | None
    ) -> None:
        self.words = list(words)
        self.has_timed_out = False
        self._files = {name: directory / name for name in STREAMS}
        self._kept: dict[str, bytes] = {}
        with self._files["stdout"].open("wb") as out, self._files["stderr"].open("wb") as err:
            try:
                self._process = subprocess.Popen(
                    self.words, stdout=out, stderr=err, env=dict(environ), cwd=cwd
                )
            except OSError as error:
                raise LaunchError(
                    f"{self.words[0]} cannot be started in {cwd or Path.cwd()}: {error.strerror}."
                ) from error

    @property
    def returncode(self) -> int | None:
        """Exit code; None while the process runs."""
        return self._process.poll()

    @property
    def status(self) -> str:
        """``running``, ``successful``, ``failed`` or ``timeout``."""
        if self.has_timed_out:
            return "timeout"
        if self.returncode is None:
            return "running"
        return "failed" if self.returncode else "successful"

    def text(self, stream: str) -> str:
        """Output so far; a byte that is not UTF-8 becomes U+FFFD."""
        return self._bytes(stream, 0).decode("utf-8", "replace")

    def follow(self, *, show: bool) -> None:
        """Wait until the process has ended. An interrupt of this program ends the process first.

        Args:
            show: copy its output to this program's output as it grows.
        """
        echoes = [_Echo(self._files[name], getattr(sys, name)) for name in STREAMS] if show else []
        try:
            while self.returncode is None:
                for echo in echoes:
                    echo.catch_up()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_PAUSE)
        except BaseException:  # an interrupt must not leave the run behind
            self.end()
            raise
        finally:
            for echo in echoes:
                echo.catch_up()

    async def ended(self, timeout: float | None, show: str | None) -> None:
        """Wait until the process has ended; end it if that takes longer than ``timeout`` seconds.

        Args:
            timeout: seconds; None for no limit.
            show: ``stdout`` or ``stderr``, to copy that stream to this program's output as it grows.

        Raises:
            ValueError: there is no such stream.
        """
        echo = None if show is None else _Echo(self._files[_stream(show)], sys.stdout)
        limit = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            if limit is not None and time.monotonic() >= limit:
                await asyncio.to_thread(self.end)
                self.has_timed_out = True
                break
            if echo is not None:
                echo.catch_up()
            await asyncio.sleep(_PAUSE)
        if echo is not None:
            echo.catch_up()

    async def lines(self, stream: str, position: int) -> AsyncIterator[tuple[int, str]]:
        """Lines of a stream as they are printed, until the process ends, each after its end position."""
        _stream(stream)
        while True:
            # Checked before the read, so that nothing can be printed between the last read and the end.
            has_ended = self.returncode is not None
            *lines, rest = self._bytes(stream, position).split(b"\n")
            for line in lines:
                position += len(line) + 1
                yield position, line.decode("utf-8", "replace")
            if has_ended:
                if rest:
                    yield position + len(rest), rest.decode("utf-8", "replace")
                return
            await asyncio.sleep(_PAUSE)

    def end(self) -> None:
        """End the process if it runs: SIGTERM lets it end its tasks, SIGKILL follows after ``_GRACE``."""
        if self.returncode is None:
            self._process.terminate()
            try:
                self._process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def keep_output(self) -> None:
        """Read all output into memory, before its files are removed."""
        self._kept = {name: path.read_bytes() for name, path in self._files.items()}

    def _bytes(self, stream: str, position: int) -> bytes:
        if stream in self._kept:
            return self._kept[stream][position:]
        with self._files[stream].open("rb") as file:
            file.seek(position)
            return file.read()


class _Echo:
    """Printer of the bytes that are added to a file."""

    def __init__(self, path: Path, target: TextIO) -> None:
        self._path = path
        self._target = target
        self._position = 0
        # Incremental, because a read may end in the middle of a character.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def catch_up(self) -> None:
        """Print the bytes that were added since the last call."""
        if os.path.getsize(self._path) == self._position:  # noqa: PTH202 - twenty times a second
            return
        with self._path.open("rb") as file:
            file.seek(self._position)
            data = file.read()
        self._position += len(data)
        self._target.write(self._decoder.decode(data))
        self._target.flush()


def _stream(name: str) -> str:
    if name not in STREAMS:
        raise ValueError(f"There is no stream {name!r}: write 'stdout' or 'stderr'.")
    return name
