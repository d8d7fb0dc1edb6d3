"""The command line of a flow file as a child process, what it prints kept in files."""

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
_GRACE = 30.0
"""Seconds that a run has to end its tasks before it is killed."""


class FlowCommand:
    """One command of a flow file while it runs, and what became of it.

    Args:
        words: the command line.
        directory: where what it prints is kept; it exists.
        environ: its environment variables.
        cwd: where it runs.
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
        """Its exit code; None while it runs."""
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
        """What it has printed so far."""
        return self._bytes(stream, 0).decode("utf-8", "replace")

    def follow(self, *, show: bool) -> None:
        """Return when it has ended; an interrupt of this process ends it first.

        Args:
            show: print here what it prints, as it comes.
        """
        echoes = [_Echo(self._files[name], getattr(sys, name)) for name in STREAMS] if show else []
        try:
            while self.returncode is None:
                for echo in echoes:
                    echo.catch_up()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_PAUSE)
        except BaseException:
            self.end()
            raise
        finally:
            for echo in echoes:
                echo.catch_up()

    async def ended(self, timeout: float | None, show: str | None) -> None:
        """Return when it has ended; one that takes longer than ``timeout`` seconds is ended."""
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
        """Each line as it comes, until the command has ended, after the position behind it."""
        _stream(stream)
        while True:
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
        """End it if it runs: its tasks too, by its own doing as long as it can."""
        if self.returncode is None:
            self._process.terminate()
            try:
                self._process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def keep_output(self) -> None:
        """Keep what it has printed in memory, for its files will go."""
        self._kept = {name: path.read_bytes() for name, path in self._files.items()}

    def _bytes(self, stream: str, position: int) -> bytes:
        if stream in self._kept:
            return self._kept[stream][position:]
        with self._files[stream].open("rb") as file:
            file.seek(position)
            return file.read()


class _Echo:
    """Prints what is added to a file."""

    def __init__(self, path: Path, target: TextIO) -> None:
        self._path = path
        self._target = target
        self._position = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def catch_up(self) -> None:
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
