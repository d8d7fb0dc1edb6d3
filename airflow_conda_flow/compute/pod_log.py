"""The log of a pod's container while it runs: every line once, whatever becomes of the connection."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from airflow_conda_flow.compute.pod_spec import CONTAINER
from airflow_conda_flow.runner.attempt_log import shown

_CONNECT_SECONDS = 10
_SILENCE_SECONDS = 300  # a connection that gave nothing for so long is made anew: it may be dead
OVERLAP_SECONDS = 10  # read again on a new connection; what was there already is passed over
_PAUSE = 0.3
_NOT_FOUND = 404
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")


class LogPosition:
    """How far a log was read, so that a line read again is known.

    Args:
        text: what ``str`` gave of a position, to go on from there.
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
        """Note that the log is read anew, from a line that may be known."""
        self._reading, self._number = ("", ""), 0

    def new_text(self, line: bytes) -> bytes | None:
        """The text of a line that begins with its time, None if it was read before.

        A line without a time is none of the container's: the cluster says so that it cannot give any.

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
    """Reads the log of one container to its end.

    Args:
        api: a ``CoreV1Api``.
        name: the pod's.
        namespace: the pod's.
        emit: takes each line, as a terminal shows it.
        position: how much of it is known already.
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
        self._mutex = threading.Lock()
        self._is_stopped = False

    def stop(self) -> LogPosition:
        """Pass on no more lines from now on; gives how far it came."""
        with self._mutex:
            self._is_stopped = True
            return self._position

    def follow(self, is_over: Callable[[], bool], on_pause: Callable[[], object] = lambda: None) -> None:
        """Pass lines on until the container has ended and all were read, or the pod is gone.

        Args:
            is_over: whether the container has ended.
            on_pause: called when no more comes for now: the container may have ended.
        """
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - heavy
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - heavy

        while not self._is_stopped:
            was_over = is_over()
            try:
                self._read()
            except ApiException as error:
                if error.status == _NOT_FOUND or was_over:
                    return
            except HTTPError:
                pass  # cut off: go on where it ended
            else:
                if was_over:
                    return
            on_pause()
            time.sleep(_PAUSE)

    def _read(self) -> None:
        options: dict[str, Any] = {}
        if self._received is not None:
            # By our own clock: the node's may differ.
            options["since_seconds"] = int(time.monotonic() - self._received) + OVERLAP_SECONDS
        answer = self._api.read_namespaced_pod_log(
            self._name,
            self._namespace,
            container=CONTAINER,
            follow=True,
            timestamps=True,
            _preload_content=False,
            _request_timeout=(_CONNECT_SECONDS, _SILENCE_SECONDS),
            **options,
        )
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
    """Whole lines of a streamed answer, as they come."""
    rest = b""
    for chunk in answer.stream(decode_content=True):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _sortable(stamp: str) -> tuple[str, str]:
    """A time of RFC 3339 in UTC, so that later ones compare greater: its zeros at the end are left out.

    >>> _sortable("2026-11-24T02:00:00.12Z") > _sortable("2026-11-24T02:00:00.1Z")
    True
    """
    seconds, _, fraction = stamp.rstrip("Z").partition(".")
    return seconds, fraction.ljust(9, "0")
