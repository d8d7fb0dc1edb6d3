"""Ends requests to S3 that would otherwise wait for ever, and says when one waits.

botocore's timeouts count from the last byte, so a server that sends a byte a second is never too slow for
them, and its tries add up with those of ``s3_transfer.py``. Here a request has one deadline for all tries:

- ``tries`` opens it, for both layers of retries; botocore is told not to try again after it.
- A watcher, one thread per client, closes the connection of an answer whose headers, or whose next block,
  take longer than ``QUIET`` seconds. The thread that waits for it then gets an error that may be tried again.
- A line is printed once a request has waited for ``SAY_AFTER`` seconds.
- ``hurry`` shortens all of it, for a process that is asked to end.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from time import sleep  # the function itself: whoever replaces time.sleep for a test means other threads
from typing import TYPE_CHECKING, Any

from .notice import warn

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 90.0
"""Seconds from the start of a request within which a try may begin."""
QUIET = 30.0
"""Seconds that one try waits for something to come: the headers of the answer, or its next block."""
HURRY = 5.0
"""Seconds that replace ``DEADLINE`` and ``QUIET`` after ``hurry``. S3 that lives answers in less."""
GONE = 0.5
"""Seconds that replace ``HURRY`` once S3 has not answered within it: what is left to write adds up."""
SAY_AFTER = 10.0
"""Seconds after which people begin to wonder; most requests take milliseconds."""
_SAY_AGAIN = 30.0  # seconds between two lines of one process: its threads wait for the same server
_LOOK_EVERY = 0.5  # seconds; far less than ``SAY_AFTER``, and next to no processor time
# Bytes of a block. Measured with eight threads on two cores, verified: 700 MB/s with blocks of 1 MB, less
# than half of that with 256 kB (threads waking each other) or 16 MB (malloc maps and unmaps each one).
_SMALLEST, _LARGEST = 16 * 1024, 1024 * 1024
_BLOCK_SECONDS = 1.0  # a block is about as large as what comes in this time

_thread = threading.local()
_hurried: list[float] = []  # when ``hurry`` was first called
_gone: list[None] = []  # not empty once a request in a hurry was not answered


class TooSlow(Exception):
    """An answer came more slowly than a block in ``QUIET`` seconds, so its connection was closed."""


def hurry() -> None:
    """Let no request of this process wait longer than ``HURRY`` seconds from now on, nor those that wait now.

    For a process that was asked to end: what it has left to write is a courtesy, as a process that is killed
    loses nothing either. May be called from a signal handler.
    """
    if not _hurried:
        _hurried.append(time.monotonic())


def _has_passed(since: float, seconds: float) -> bool:
    """True if so many seconds have passed, or as many as one in a hurry waits."""
    now = time.monotonic()
    return now - since > seconds or bool(_hurried and now - max(since, _hurried[0]) > _hurry_seconds())


def _hurry_seconds() -> float:
    return GONE if _gone else HURRY


def _note_gone() -> None:
    if _hurried:
        _gone.append(None)


class Deadline:
    """Time after which no try of a request begins."""

    def __init__(self, seconds: float, outer: Deadline | None = None) -> None:
        self._began = time.monotonic()
        self._seconds = seconds
        self._outer = outer

    def is_over(self) -> bool:
        """True if no further try may begin."""
        is_outer_over = self._outer is not None and self._outer.is_over()
        return is_outer_over or _has_passed(self._began, self._seconds)


@contextlib.contextmanager
def tries(seconds: float | None = None) -> Iterator[Deadline]:
    """One request, with all of its tries: gives its deadline.

    Args:
        seconds: from now, ``DEADLINE`` if None; a request around this one may end earlier.
    """
    outer: Deadline | None = getattr(_thread, "deadline", None)
    _thread.deadline = Deadline(DEADLINE if seconds is None else seconds, outer)
    try:
        yield _thread.deadline
    finally:
        _thread.deadline = outer


class _Wait:
    """A try that a thread waits for: when something moved last, whether it is to move, on which socket."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self.moved = time.monotonic()
        self.is_expected = False
        self.socket: socket.socket | None = None
        self.is_closed = False

    def expect(self) -> None:
        """Something has moved, or is waited for from now on."""
        self.moved = time.monotonic()
        self.is_expected = True

    def end(self) -> None:
        """Nothing is waited for any more."""
        self._watcher.forget(self)

    def shut(self) -> None:
        """Make whoever reads from the socket fail."""
        if self.socket is not None:
            with contextlib.suppress(OSError):
                # Not the method of an SSLSocket, which also takes away what its reader is using.
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


class Watcher:
    """Watches the requests of one client. Its thread runs only while requests do."""

    def __init__(self, client: Any) -> None:
        self._endpoint = str(client.meta.endpoint_url)
        self._waits: set[_Wait] = set()
        self._mutex = threading.Lock()
        self._runs = False
        self._said = 0.0
        _watch_connections(client)
        events = client.meta.events
        events.register("before-call.s3", _note_deadline)
        events.register_first("needs-retry.s3", _veto)
        events.register("before-send.s3", self._start)
        events.register_last("response-received.s3", self._received)

    def _start(self, **_: Any) -> None:
        _end_of_thread()
        wait = _thread.wait = _Wait(self)
        with self._mutex:
            self._waits.add(wait)
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._watch, name="s3-patience", daemon=True).start()

    def _received(self, exception: object = None, response_dict: Any = None, **_: Any) -> None:
        # The bytes of an object are still to come: ``blocks`` watches over them.
        if exception is not None or not hasattr((response_dict or {}).get("body"), "read"):
            _end_of_thread()

    def forget(self, wait: _Wait) -> None:
        """Watch over that try no longer."""
        with self._mutex:
            self._waits.discard(wait)

    def _watch(self) -> None:
        while True:
            sleep(_LOOK_EVERY)
            now = time.monotonic()
            with self._mutex:
                if not self._waits:
                    self._runs = False
                    return
                waits = list(self._waits)
                late = [each for each in waits if each.is_expected and _has_passed(each.moved, QUIET)]
                for each in late:
                    each.is_closed = True
                    self._waits.discard(each)
                    _note_gone()
            for each in late:
                each.shut()
            say_after = min(SAY_AFTER, HURRY / 5) if _hurried else SAY_AFTER
            if any(now - each.moved > say_after for each in waits) and now - self._said > _SAY_AGAIN:
                self._said = now
                warn(f"Waiting for S3 at {self._endpoint}, which does not answer.")


def blocks(body: Any) -> Iterator[bytes]:
    """Bytes of an answer of S3 as they come, in blocks of at most 1 MiB.

    Raises:
        TooSlow: a block took longer than ``QUIET`` seconds.
    """
    wait: _Wait | None = getattr(_thread, "wait", None)
    if wait is None:  # a client without a watcher
        yield from iter(lambda: body.read(_LARGEST), b"")
        return
    size = _SMALLEST
    try:
        while True:
            wait.expect()
            try:
                block: bytes = body.read(size)
            except Exception as error:
                if wait.is_closed:
                    raise TooSlow from error
                raise
            if wait.is_closed:
                raise TooSlow
            if not block:
                return
            took = time.monotonic() - wait.moved + 1e-6
            size = max(_SMALLEST, min(_LARGEST, size * 4, int(len(block) * _BLOCK_SECONDS / took)))
            yield block
    finally:
        wait.end()


def _end_of_thread() -> None:
    """The calling thread waits for nothing any more."""
    wait: _Wait | None = getattr(_thread, "wait", None)
    _thread.wait = None
    if wait is not None:
        wait.end()


def _note_deadline(params: dict[str, Any], **_: Any) -> None:
    params["context"]["conda_flow_deadline"] = getattr(_thread, "deadline", None) or Deadline(DEADLINE)


def _veto(request_dict: dict[str, Any], **_: Any) -> bool | None:
    """False, which is no, once the request's deadline is over; None leaves it to botocore."""
    return False if request_dict["context"]["conda_flow_deadline"].is_over() else None


def _watch_connections(client: Any) -> None:
    """Let the client's connections tell the thread's ``_Wait`` what they do.

    botocore has no public name for the classes of its connections. If a later version has other private ones,
    its own timeouts remain.
    """
    session = getattr(getattr(client, "_endpoint", None), "http_session", None)
    classes = getattr(session, "_pool_classes_by_scheme", None)
    manager = getattr(session, "_manager", None)
    if not isinstance(classes, dict) or not hasattr(manager, "pool_classes_by_scheme"):
        return
    watched = {scheme: _watched_pool(pool) for scheme, pool in classes.items()}
    session._pool_classes_by_scheme = manager.pool_classes_by_scheme = watched  # type: ignore[union-attr]  # noqa: SLF001


@contextlib.contextmanager
def _hurried_connect(connection: Any) -> Iterator[None]:
    """Let a connection be made in the block, more quickly if this process is in a hurry."""
    if not _hurried:
        yield
        return
    connection.timeout = min(connection.timeout or HURRY, _hurry_seconds())
    try:
        yield
    except Exception:
        _note_gone()
        raise


def _watched_pool(pool: Any) -> Any:
    from .whole_headers import WholeHeaders  # noqa: PLC0415 - heavy, and a client has imported what it needs

    class WatchedConnection(pool.ConnectionCls):  # type: ignore[misc]
        response_class = WholeHeaders

        def connect(self) -> None:
            with _hurried_connect(self):
                super().connect()

        def send(self, data: Any) -> Any:
            if (wait := getattr(_thread, "wait", None)) is not None:
                wait.moved = time.monotonic()
            return super().send(data)

        def getresponse(self, *arguments: Any, **options: Any) -> Any:
            wait: _Wait | None = getattr(_thread, "wait", None)
            if wait is None:
                return super().getresponse(*arguments, **options)
            wait.socket = self.sock
            wait.expect()
            try:
                answer = super().getresponse(*arguments, **options)
            except Exception as error:
                if wait.is_closed:
                    raise TimeoutError("the headers came too slowly") from error
                raise
            if wait.is_closed:  # the headers seem complete, and are not
                answer.close()
                raise TimeoutError("the headers came too slowly")
            wait.expect()
            return answer

    return type(pool.__name__, (pool,), {"ConnectionCls": WatchedConnection})
