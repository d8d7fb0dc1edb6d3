"""Starts a step process, answers its messages, and ends it; knows nothing of graphs or datastores."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from airflow_conda_flow.runner.fork_servers import ForkServers
from airflow_conda_flow.runner.left_processes import end_marked, mark
from airflow_conda_flow.runner.step_start import StepProcess, start_interpreter
from airflow_conda_flow.runtime.protocol import decode, encode

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import Answer, LastMessage, StepMessage, TaskMessage

# Cancelling, a passed deadline and the end of the process do not wake ``select``: each is noticed at most
# this late.
_POLL_SECONDS = 0.1
# From SIGTERM to SIGKILL, for the step's ``finally`` blocks and handlers. In a container the attempt must
# also be committed within 10 s of the signal (``container.py``), so this must stay well below that.
_GRACE_SECONDS = 5.0
# For the last output of the process and its children after it has ended. It is a limit, not a delay: reading
# stops as soon as all streams are closed or a poll brings nothing.
_DRAIN_SECONDS = 0.5
# More than a pipe (64 KiB) or a Unix socket (208 KiB) buffers on Linux by default, so one read empties it.
_CHUNK = 256 * 1024
# A line that never ends, such as a progress bar's, is passed on in pieces instead of filling the memory.
_LONGEST_LINE = 1024 * 1024


class Exchange(Protocol):
    """Services of the runner for its step process."""

    def answer(self, message: StepMessage) -> Answer | None:
        """The answer to ``fetch`` and ``ask``; None for messages that are not answered."""

    def lines(self, stream: str, lines: list[bytes]) -> None:
        """Accept lines that the process wrote; each but the last one has its newline."""

    def cut(self, data: bytes) -> int:
        """Where a line that is too long, and has not ended yet, may be cut."""


@dataclass(frozen=True)
class ProcessEnd:
    """End of a step process.

    Attributes:
        last: its ``done`` or ``failed`` message; None if it died without one.
        return_code: as ``subprocess`` gives it, negative for a signal.
        cancelled: whether it was ended from outside.
        timed_out: whether the runner ended it because its ``@timeout`` had passed.
    """

    last: LastMessage | None
    return_code: int
    cancelled: bool
    timed_out: bool = False


def run_step_process(
    command: Sequence[str],
    environ: Mapping[str, str] | None,
    task: TaskMessage,
    exchange: Exchange,
    on_start: Callable[[int], None],
    cancel: threading.Event,
    directory: Path | None = None,
    servers: ForkServers | None = None,
) -> ProcessEnd:
    """Run a step process to its end, in the calling thread.

    Args:
        command: interpreter, options and script; the two descriptors are appended.
        environ: its environment variables; the runner's own if None.
        task: the first message.
        exchange: answers messages and accepts lines.
        on_start: called with the pid once the process runs.
        cancel: when set, the process and its children are ended: SIGTERM, and SIGKILL after 5 s.
        directory: its working directory; None is the runner's own.
        servers: the fork servers that may start it.

    When this returns, all processes that the step has started are gone, also those in sessions of their own.

    Raises:
        TaskFailed: the interpreter cannot be started.
        OSError: this machine has no room for a process more.
    """
    given = os.environ if environ is None else environ
    marked, text = mark(given)
    started = None if servers is None else servers.start(command, given, directory, text)
    if started is None:
        started = start_interpreter(command, marked, directory)
    try:
        conversation = _Conversation(started.process, started.link, exchange, cancel)
        try:
            on_start(started.process.pid)
            return conversation.hold(task)
        finally:
            conversation.end_group(signal.SIGKILL)
            end_marked(text)
            started.process.close()
    finally:
        started.close()


class LineReader:
    """Splits the bytes of a stream into lines, however they arrive.

    Args:
        longest: number of bytes past which an unfinished line is cut; None cuts no line.
        cut: called with an unfinished line; returns the place to cut it at.
    """

    def __init__(self, longest: int | None, cut: Callable[[bytes], int] = len) -> None:
        self._longest = longest
        self._cut = cut
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Lines that these bytes complete, each with its newline."""
        *lines, tail = data.split(b"\n")
        for line in lines:
            yield self._whole(line + b"\n")
        if tail:
            self._parts.append(tail)
            self._size += len(tail)
        if self._longest is not None and self._size > self._longest:
            line = self._whole(b"")
            # At least half of it goes, whatever there is that should stay together.
            place = max(self._cut(line), self._longest // 2)
            self._parts, self._size = [line[place:]], len(line) - place
            yield line[:place]

    def rest(self) -> bytes:
        """The unfinished last line; call it when no more bytes come."""
        return self._whole(b"")

    def _whole(self, end: bytes) -> bytes:
        line = b"".join([*self._parts, end])
        self._parts.clear()
        self._size = 0
        return line


class _Conversation:
    """Exchange of messages and lines with one process, from its start to its end."""

    def __init__(
        self,
        process: StepProcess,
        link: socket.socket,
        exchange: Exchange,
        cancel: threading.Event,
    ) -> None:
        self._process = process
        self._link = link
        self._exchange = exchange
        self._cancel = cancel
        self._cancelled_at: float | None = None
        self._deadline: float | None = None
        self._timed_out = False
        self._ended_at: float | None = None
        self._last: LastMessage | None = None
        self._messages = LineReader(longest=None)  # a message that is cut could not be decoded
        self._lines = {name: LineReader(_LONGEST_LINE, exchange.cut) for name in ("stdout", "stderr")}
        self._selector = selectors.DefaultSelector()

    def hold(self, task: TaskMessage) -> ProcessEnd:
        with self._selector:
            self._selector.register(self._link, selectors.EVENT_READ, "link")
            assert self._process.stdout is not None  # noqa: S101 - both are pipes
            assert self._process.stderr is not None  # noqa: S101 - both are pipes
            self._selector.register(self._process.stdout, selectors.EVENT_READ, "stdout")
            self._selector.register(self._process.stderr, selectors.EVENT_READ, "stderr")
            self._send(task)
            while not self._is_over():
                self._turn()
        for stream, reader in self._lines.items():
            if rest := reader.rest():
                self._exchange.lines(stream, [rest])
        cancelled = self._cancelled_at is not None and not self._timed_out
        return ProcessEnd(self._last, self._process.wait(), cancelled, self._timed_out)

    def end_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and to its children, except those that left its process group."""
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # the group has no process left; macOS reports zombies by PermissionError

    def _turn(self) -> None:
        # A step may close all its streams and still run. Then there is nothing to select, and ``_note_end``
        # does the waiting.
        ready = self._selector.select(_POLL_SECONDS if self._selector.get_map() else 0)
        for key, _ in ready:
            self._read(key)
        if self._deadline is not None and time.monotonic() > self._deadline:
            self._timed_out = self._timed_out or self._cancelled_at is None
        if self._cancel.is_set() or self._timed_out:
            self._end_early()
        if self._ended_at is None:
            self._note_end(wait=not self._selector.get_map())
        elif not ready:
            # A poll brought nothing: a child still holds a stream open. Do not wait for it.
            self._ended_at -= _DRAIN_SECONDS

    def _note_end(self, *, wait: bool) -> None:
        try:
            self._process.wait(_POLL_SECONDS if wait else 0)
        except subprocess.TimeoutExpired:
            return
        # The process's own output is in the pipes by now, and one read takes it. It is not lost if this
        # thread, on a busy machine, is held up for longer than ``_DRAIN_SECONDS`` from here on.
        for key, _ in self._selector.select(0):
            self._read(key)
        self._ended_at = time.monotonic()

    def _is_over(self) -> bool:
        """True if the process has ended and its output is read; children with open streams do not count."""
        if self._ended_at is None:
            return False
        return not self._selector.get_map() or time.monotonic() - self._ended_at > _DRAIN_SECONDS

    def _read(self, key: selectors.SelectorKey) -> None:
        try:
            data = os.read(key.fd, _CHUNK)
        except ConnectionResetError:
            data = b""
        if not data:
            self._selector.unregister(key.fileobj)
        elif key.data == "link":
            for line in self._messages.feed(data):
                self._take(decode(line))
        elif lines := list(self._lines[key.data].feed(data)):
            self._exchange.lines(key.data, lines)

    def _take(self, message: StepMessage) -> None:
        if message["type"] == "done" or message["type"] == "failed":
            self._last = message
            return
        if message["type"] == "clock":
            self._set_clock(message["seconds"])
            return
        answer = self._exchange.answer(message)
        if answer is not None:
            self._send(answer)

    def _set_clock(self, seconds: float | None) -> None:
        """Set or clear the time at which the runner ends the process because of its ``@timeout``.

        The step process ends itself first (``runtime/time_limit.py``); the runner waits 5 s longer, for code
        that a signal cannot interrupt.
        """
        self._deadline = None if seconds is None else time.monotonic() + seconds + _GRACE_SECONDS

    def _send(self, message: TaskMessage | Answer) -> None:
        try:
            self._link.sendall(encode(message))
        except (BrokenPipeError, ConnectionResetError):
            pass  # the process died; its return code says why

    def _end_early(self) -> None:
        if self._cancelled_at is None:
            self._cancelled_at = time.monotonic()
            self.end_group(signal.SIGTERM)
        elif time.monotonic() - self._cancelled_at > _GRACE_SECONDS:
            self.end_group(signal.SIGKILL)
