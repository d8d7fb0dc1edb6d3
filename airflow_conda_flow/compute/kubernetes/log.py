"""Reader of a container's log while it runs: every line once, even if the connection breaks."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from airflow_conda_flow.compute.kubernetes.refusals import reason_of
from airflow_conda_flow.compute.kubernetes.spec import CONTAINER
from airflow_conda_flow.runner.attempt_log import shown

_CONNECT_SECONDS = 10  # a kubelet that takes longer to accept is out of reach, and another try does no harm
# A connection without data for this long is replaced, because it may be dead. A step may well print nothing
# for minutes: a much smaller value would reconnect for every quiet step.
_SILENCE_SECONDS = 300
OVERLAP_SECONDS = 10
"""Seconds of the log that a new connection reads again, so that no line falls between two connections.

Known lines are skipped. It must exceed the delay between a line's own time and its arrival here.
"""
_PAUSE = 0.3  # seconds between two connections, so that a log that keeps failing is not read in a tight loop
_FORBIDDEN, _NOT_FOUND = 403, 404
# RFC 3339 in UTC, as the kubelet puts it before each line.
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")


class LogPosition:
    """Position in a log up to which it was read, to recognise lines that are read again.

    It is the time of the newest line and the number of lines with that time: a log may have many lines of
    equal time, and even of equal text.

    Args:
        text: ``str`` of an earlier position, to resume there; empty for the beginning.
    """

    def __init__(self, text: str = "") -> None:
        stamp, _, count = text.partition("#")
        self._stamp = stamp
        self._newest = _sortable(stamp)
        self._count = int(count or 0)
        self._reading: tuple[str, str] = ("", "")
        self._number = 0

    def __str__(self) -> str:
        return f"{self._stamp}#{self._count}" if self._stamp else ""

    def begin(self) -> None:
        """Prepare for a new connection, which may start with lines that are already known."""
        self._reading, self._number = ("", ""), 0

    def new_text(self, line: bytes) -> bytes | None:
        """Text of a line, without the time in front of it; None if the line was read before.

        Also None for a line without a time: it does not come from the container, but is a message of the
        cluster that it cannot read the log.

        >>> position = LogPosition()
        >>> position.new_text(b"2026-11-24T02:00:00.1Z one")
        b'one'
        >>> later = LogPosition(str(position))
        >>> later.new_text(b"2026-11-24T02:00:00.1Z one")
        >>> later.new_text(b"2026-11-24T02:00:00.1Z two")
        b'two'
        """
        stamp, _, text = line.partition(b" ")
        if not _TIME.match(stamp):
            return None
        when = _sortable(stamp.decode("ascii"))
        self._number = self._number + 1 if when == self._reading else 1
        self._reading = when
        if when < self._newest or (when == self._newest and self._number <= self._count):
            return None
        self._stamp = stamp.decode("ascii")
        self._newest, self._count = when, self._number
        return text


class PodLog:
    """Reader of one container's log, from a position to the end.

    Args:
        api: a ``CoreV1Api``.
        name: the pod's name.
        namespace: the pod's namespace.
        emit: receives each line, in the form that a terminal shows.
        position: position to resume from; None for the beginning.

    Attributes:
        is_open: set once the cluster has begun to answer.
    """

    def __init__(
        self,
        api: Any,
        name: str,
        namespace: str,
        emit: Callable[[str], None],
        position: LogPosition | None = None,
    ) -> None:
        self._api = api
        self._name = name
        self._namespace = namespace
        self._emit = emit
        self._position = position or LogPosition()
        self._received: float | None = None
        self.is_open = threading.Event()
        self._reading = threading.Lock()  # one connection at a time: the position is that of one
        self._mutex = threading.Lock()
        self._is_stopped = False
        self._is_refused = False

    def stop(self) -> LogPosition:
        """Stop emitting lines, and return the position reached; no line is emitted after the return."""
        # follow holds the mutex while it emits a line, so the position never lies behind an emitted line.
        with self._mutex:
            self._is_stopped = True
            return self._position

    def follow(self, is_over: Callable[[], bool], on_pause: Callable[[], object] = lambda: None) -> None:
        """Emit lines until the container has ended and all were read, or the pod no longer exists.

        Args:
            is_over: returns True if the container has ended.
            on_pause: called when a connection has ended: the container may have ended too.
        """
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - heavy
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - heavy

        while not self._is_stopped:
            # Asked before the reading: only a reading that starts after the container's end sees all of its
            # lines.
            was_over = is_over()
            try:
                self._read()
            except ApiException as error:
                self._tell_refusal(error)
                if error.status == _NOT_FOUND or was_over:
                    return
            except HTTPError:
                pass  # the connection broke; the next one resumes
            else:
                if was_over:
                    return
            on_pause()
            time.sleep(_PAUSE)

    def read(self) -> bool:
        """Emit the lines that are there now; return False if the log could be read by a further call only."""
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - heavy
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - heavy

        try:
            self._read(follow=False)
        except ApiException as error:
            self._tell_refusal(error)
            return bool(error.status == _NOT_FOUND)
        except HTTPError:
            return False
        return True

    def _tell_refusal(self, error: Any) -> None:
        """Say once that the log may not be read, because the step would seem to print nothing."""
        if error.status == _FORBIDDEN and not self._is_refused:
            self._is_refused = True
            self._emit(f"The log of pod {self._name} cannot be read: {reason_of(error)}")

    def _read(self, *, follow: bool = True) -> None:
        with self._reading:
            self._read_answer(follow=follow)

    def _read_answer(self, *, follow: bool) -> None:
        options: dict[str, Any] = {}
        if self._received is not None:
            # A duration and not since_time: our clock and the node's may differ.
            options["since_seconds"] = int(time.monotonic() - self._received) + OVERLAP_SECONDS
        answer = self._api.read_namespaced_pod_log(
            self._name,
            self._namespace,
            container=CONTAINER,
            follow=follow,
            timestamps=True,
            _preload_content=False,
            _request_timeout=(_CONNECT_SECONDS, _SILENCE_SECONDS),
            **options,
        )
        self.is_open.set()
        try:
            self._position.begin()
            for line in _lines(answer):
                with self._mutex:
                    if self._is_stopped:
                        break
                    text = self._position.new_text(line)
                    if text is not None:
                        self._received = time.monotonic()
                        self._emit(shown(text))
        finally:
            answer.release_conn()


def _lines(answer: Any) -> Iterator[bytes]:
    """Whole lines of a streamed answer, as they arrive."""
    rest = b""
    for chunk in answer.stream(decode_content=True):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _sortable(stamp: str) -> tuple[str, str]:
    """Key that orders times of RFC 3339 in UTC.

    The texts themselves do not compare correctly, because Kubernetes leaves out zeros at the end of the
    fraction.

    >>> _sortable("2026-11-24T02:00:00.12Z") > _sortable("2026-11-24T02:00:00.1Z")
    True
    """
    seconds, _, fraction = stamp.rstrip("Z").partition(".")
    return seconds, fraction.ljust(9, "0")
