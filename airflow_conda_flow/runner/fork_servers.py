"""Fork servers: interpreters that start the step processes of a run with many short tasks.

See ``runtime/fork_server.py`` for the other end, and docs/decisions/0025-fork-servers.md.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from airflow_conda_flow.runner.left_processes import mark
from airflow_conda_flow.runner.step_start import Started, connected
from airflow_conda_flow.runtime.fork_server import READY

# A server imports this package before it answers, from a slow disk perhaps; a request takes milliseconds. One
# that is late is not asked again, and the step starts by itself.
_START_SECONDS = 20.0
_ANSWER_SECONDS = 10.0
# Each has the size of an idle interpreter. A run rarely has more environments at work at a time.
_MOST = 8
# Between two looks at a process whose server is gone.
_POLL_SECONDS = 0.05
# Between two looks at a process whose server tells nothing.
_LOOK_SECONDS = 1.0
# For a server to end when it has nothing to do.
_END_SECONDS = 5.0

_Key = tuple[tuple[str, ...], frozenset[tuple[str, str]], str]


class ForkServers:
    """The fork servers of a run, or of a block of splits; used from any thread.

    Tasks are alike for a server if they have command, variables and directory in common. The first of them
    starts by itself: most steps have one task.

    Args:
        alone: how many tasks of a kind start by themselves before there is a server for it.
    """

    def __init__(self, alone: int = 1) -> None:
        self._lock = threading.Lock()
        self._alone = alone
        self._seen: Counter[_Key] = Counter()
        self._servers: dict[_Key, _Server | None] = {}  # None: there can be none
        self._given_up: list[_Server] = []

    def start(
        self, command: Sequence[str], environ: Mapping[str, str], directory: Path | None, text: str
    ) -> Started | None:
        """Start a step process; None if it has to start by itself.

        Args:
            command: interpreter, options and script.
            environ: its environment variables, without the mark.
            directory: its working directory; None is the runner's own.
            text: the mark of its processes.
        """
        if sys.platform != "linux":
            return None
        try:
            folder = str(directory or Path.cwd())
        except OSError:  # it has been removed
            return None
        key = (tuple(command), frozenset(environ.items()), folder)
        server = self._server(key, environ)
        if server is None:
            return None
        try:
            return server.start(text)
        except (OSError, subprocess.TimeoutExpired):
            self._give_up(key, server)
            return None

    def close(self) -> None:
        """End all servers; their processes have ended."""
        with self._lock:
            servers = [*self._given_up, *(each for each in self._servers.values() if each is not None)]
            self._servers.clear()
            self._given_up.clear()
        for server in servers:
            server.let_go()
        for server in servers:
            server.wait()

    def _server(self, key: _Key, environ: Mapping[str, str]) -> _Server | None:
        with self._lock:
            self._seen[key] += 1
            if self._seen[key] <= self._alone:
                return None
            if key in self._servers:
                return self._servers[key]
            self._servers[key] = None  # nobody waits for it while it starts
            for each in [*self._servers][:-_MOST]:
                self._drop(each)
        server = _start_server(key, environ)
        with self._lock:
            is_wanted = key in self._servers and self._servers[key] is None
            if is_wanted:
                self._servers[key] = server
        if server is not None and not is_wanted:  # dropped for others in the meantime, or all are closed
            server.let_go()
            server.wait()
            return None
        return server

    def _give_up(self, key: _Key, server: _Server) -> None:
        with self._lock:
            if self._servers.get(key) is server:
                self._drop(key)
                self._servers[key] = None

    def _drop(self, key: _Key) -> None:
        server = self._servers.pop(key)
        del self._seen[key]
        if server is not None:
            server.let_go()  # it ends when its processes have ended
            self._given_up.append(server)


def _start_server(key: _Key, environ: Mapping[str, str]) -> _Server | None:
    command, _, directory = key
    try:
        server = _Server(command, environ, directory)
    except (OSError, ValueError):  # the step's own start says what is wrong
        return None
    if server.is_ready():
        return server
    server.let_go()
    server.wait()
    return None


class _Server:
    """One fork server."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], directory: str) -> None:
        variables, text = mark(environ)
        self._lock = threading.Lock()
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # For Python the standard streams stay what they were at its start: a pipe, as those of each step.
        # Nobody reads what modules print before any step begins.
        self._printed, printing = os.pipe()
        try:
            self._process = subprocess.Popen(
                [*command, "--serve", str(theirs.fileno()), text],
                stdin=subprocess.DEVNULL,
                stdout=printing,
                stderr=printing,
                env=variables,
                cwd=directory,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C is for the runner, which ends it
            )
        except BaseException:
            self._link.close()
            os.close(self._printed)
            raise
        finally:
            theirs.close()
            os.close(printing)

    def is_ready(self) -> bool:
        """True as soon as it answers requests; False if it cannot."""
        end = time.monotonic() + _START_SECONDS
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        poll.register(self._printed, select.POLLIN)
        try:
            while True:
                seen = [each for each, _ in poll.poll(max(0.0, end - time.monotonic()) * 1000)]
                if self._link.fileno() in seen:
                    return self._link.recv(len(READY)) == READY
                if not seen:
                    return False
                if not os.read(self._printed, 65536):  # else a full pipe would stop it
                    poll.unregister(self._printed)
        except OSError:
            return False
        finally:
            os.close(self._printed)

    def start(self, text: str) -> Started:
        """Start a step process.

        Raises:
            subprocess.TimeoutExpired: the server did not answer. A process that it forks later ends at once:
                the socket that it would be sent its task by is closed.
            OSError: the server is gone, or this machine has no room for more descriptors.
        """
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            ends = [_pipe(ours, theirs) for _ in range(3)]

            def start(link: int, life_line: int) -> _ForkedProcess:
                output, error, status = (end for _, end in ends)
                # Not by socket.send_fds: it imports array, which may be a module of the user's.
                sent = struct.pack("5i", output, error, link, life_line, status)
                with self._lock:
                    self._link.sendmsg([text.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, sent)])
                theirs.close()  # or the end of the process would not be seen
                return _ForkedProcess(*(end for end, _ in ends))

            started = connected(start)
            ours.pop_all()
            return started

    def let_go(self) -> None:
        """Tell it that no request follows."""
        with self._lock:
            self._link.close()

    def wait(self) -> None:
        """Wait until it has ended."""
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _pipe(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[int, int]:
    reading, writing = os.pipe()
    ours.callback(os.close, reading)
    theirs.callback(os.close, writing)
    return reading, writing


class _ForkedProcess:
    """A step process that a server has forked; see ``StepProcess``.

    Raises:
        subprocess.TimeoutExpired: it does not begin in time.
        ChildProcessError: it could not be forked.
    """

    def __init__(self, stdout: int, stderr: int, status: int) -> None:
        self._status = status
        self._text = b""
        self._code: int | None = None
        self._look_at = time.monotonic() + _LOOK_SECONDS
        self._overdue: float | None = None  # when the server's last line is no longer waited for
        pid = self._line(_ANSWER_SECONDS)
        if not pid:
            raise ChildProcessError("The server has forked no process.")
        self.pid = int(pid)
        self.stdout: IO[bytes] | None = os.fdopen(stdout, "rb", buffering=0)
        self.stderr: IO[bytes] | None = os.fdopen(stderr, "rb", buffering=0)

    def wait(self, timeout: float | None = None) -> int:
        """See ``StepProcess``."""
        if self._code is None:
            end = None if timeout is None else time.monotonic() + timeout
            text = self._last_line(end)
            self._code = int(text) if text else self._code_without_server(end)
        return self._code

    def _last_line(self, end: float | None) -> bytes:
        """The line of the return code; empty if the process has ended and its server does not tell it."""
        while True:
            left = _LOOK_SECONDS if end is None else min(_LOOK_SECONDS, max(0.0, end - time.monotonic()))
            try:
                return self._line(left)
            except subprocess.TimeoutExpired:
                now = time.monotonic()
                if self._is_overdue(now):
                    return b""
                if end is not None and now >= end:
                    raise

    def _is_overdue(self, now: float) -> bool:
        """True if the process has ended and its server had time to tell it: a step may stop its parent."""
        if self._overdue is None and now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._overdue = None if _runs(self.pid) else now + _ANSWER_SECONDS
        return self._overdue is not None and now >= self._overdue

    def close(self) -> None:
        """See ``StepProcess``."""
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait()
        os.close(self._status)

    def _line(self, timeout: float | None) -> bytes:
        """Next line of the server; empty if it is gone.

        Raises:
            subprocess.TimeoutExpired: there is none in this time, in seconds.
        """
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        while b"\n" not in self._text:
            if not poll.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired("step", timeout or 0.0)
            data = os.read(self._status, 64)
            if not data:
                return b""
            self._text += data
        line, _, self._text = self._text.partition(b"\n")
        return line

    def _code_without_server(self, end: float | None) -> int:
        """The return code, which nobody knows, of a process whose server was killed.

        What the process has told before its end counts; if it has told nothing, it was killed as well.
        """
        while _runs(self.pid):
            if end is not None and time.monotonic() >= end:
                raise subprocess.TimeoutExpired("step", 0.0)
            time.sleep(_POLL_SECONDS if end is None else max(0.0, min(_POLL_SECONDS, end - time.monotonic())))
        return -signal.SIGKILL


def _runs(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return status.rpartition(b")")[2].split()[:1] not in ([b"Z"], [b"X"])
