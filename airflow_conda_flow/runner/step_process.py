"""Starts a step process, answers it, and ends it; knows nothing of graphs or datastores."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_conda_flow.runtime.protocol import decode, encode

Message = dict[str, Any]
_POLL_SECONDS = 0.1
_GRACE_SECONDS = 5.0
_DRAIN_SECONDS = 0.5
_CHUNK = 65536
_LONGEST_LINE = 1024 * 1024


class Exchange(Protocol):
    """What the runner does for its step process."""

    def answer(self, message: Message) -> Message | None:
        """The answer to a ``fetch``; None after a ``publish``."""

    def line(self, stream: str, data: bytes) -> None:
        """Take a line that the process wrote, with its newline if it had one."""


@dataclass(frozen=True)
class ProcessEnd:
    """How a step process ended.

    Attributes:
        last: its ``done`` or ``failed`` message; None if it died without one.
        return_code: as ``subprocess`` gives it, negative for a signal.
        cancelled: whether it was ended from outside.
    """

    last: Message | None
    return_code: int
    cancelled: bool


def run_step_process(
    command: Sequence[str],
    environ: Mapping[str, str] | None,
    task: Message,
    exchange: Exchange,
    on_start: Callable[[int], None],
    cancel: threading.Event,
) -> ProcessEnd:
    """Run a step process to its end, in the calling thread.

    Args:
        command: interpreter, options and script; the two descriptors are appended.
        environ: its environment variables; the runner's own if None.
        task: the first message.
        exchange: answers messages and takes lines.
        on_start: called with the pid once the process is there.
        cancel: when set, the process and its children are ended: SIGTERM, and SIGKILL after 5 s.

    Raises:
        OSError: the interpreter cannot be started.
    """
    ours, theirs = socket.socketpair()
    life_line, held = os.pipe()
    try:
        try:
            process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(life_line)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environ,
                pass_fds=(theirs.fileno(), life_line),
                start_new_session=True,
                bufsize=0,
            )
        finally:
            theirs.close()
            os.close(life_line)
        on_start(process.pid)
        with process:
            return _Conversation(process, ours, exchange, cancel).hold(task)
    finally:
        os.close(held)
        ours.close()


class _Conversation:
    """The messages and lines of one process, from its start to its end."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        link: socket.socket,
        exchange: Exchange,
        cancel: threading.Event,
    ) -> None:
        self._process = process
        self._link = link
        self._exchange = exchange
        self._cancel = cancel
        self._cancelled_at: float | None = None
        self._last: Message | None = None
        self._rest: dict[str, bytearray] = {name: bytearray() for name in ("link", "stdout", "stderr")}
        self._selector = selectors.DefaultSelector()

    def hold(self, task: Message) -> ProcessEnd:
        with self._selector:
            self._selector.register(self._link, selectors.EVENT_READ, "link")
            assert self._process.stdout is not None  # noqa: S101 - both are pipes
            assert self._process.stderr is not None  # noqa: S101 - both are pipes
            self._selector.register(self._process.stdout, selectors.EVENT_READ, "stdout")
            self._selector.register(self._process.stderr, selectors.EVENT_READ, "stderr")
            try:
                self._link.sendall(encode(task))
            except BrokenPipeError:
                pass  # it died at once; its return code says why
            try:
                self._converse()
            except BaseException:
                self._end_group(signal.SIGKILL)
                raise
        return_code = self._process.wait()
        self._end_group(signal.SIGKILL)
        return ProcessEnd(self._last, return_code, self._cancelled_at is not None)

    def _converse(self) -> None:
        """Until every stream is closed; children that keep one open are not waited for."""
        ended_at: float | None = None
        while self._selector.get_map():
            ready = self._selector.select(_POLL_SECONDS)
            for key, _ in ready:
                self._read(key)
            if self._cancel.is_set():
                self._end_early()
            if ended_at is None and self._process.poll() is not None:
                ended_at = time.monotonic()
            if ended_at is not None and not ready:
                break
            if ended_at is not None and time.monotonic() - ended_at > _DRAIN_SECONDS:
                break
        for stream in ("stdout", "stderr"):
            if self._rest[stream]:
                self._exchange.line(stream, bytes(self._rest[stream]))

    def _read(self, key: selectors.SelectorKey) -> None:
        try:
            data = os.read(key.fd, _CHUNK)
        except ConnectionResetError:
            data = b""
        if not data:
            self._selector.unregister(key.fileobj)
            return
        name: str = key.data
        rest = self._rest[name]
        rest += data
        *lines, tail = rest.split(b"\n")
        if name != "link" and len(tail) > _LONGEST_LINE:
            lines.append(tail)
            tail = bytearray()
        self._rest[name] = bytearray(tail)
        for line in lines:
            if name == "link":
                self._take(decode(bytes(line)))
            else:
                self._exchange.line(name, bytes(line) + b"\n")

    def _take(self, message: Message) -> None:
        if message["type"] in {"done", "failed"}:
            self._last = message
            return
        answer = self._exchange.answer(message)
        if answer is not None:
            try:
                self._link.sendall(encode(answer))
            except BrokenPipeError:
                pass  # it died while it waited; its return code says why

    def _end_early(self) -> None:
        if self._cancelled_at is None:
            self._cancelled_at = time.monotonic()
            self._end_group(signal.SIGTERM)
        elif time.monotonic() - self._cancelled_at > _GRACE_SECONDS:
            self._end_group(signal.SIGKILL)

    def _end_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # nothing of it is left
