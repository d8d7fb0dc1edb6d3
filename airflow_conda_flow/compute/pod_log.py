"""The log of a pod's container while it runs: every line once, whatever becomes of the connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from airflow_conda_flow.compute.pod_spec import CONTAINER
from airflow_conda_flow.runner.attempt_log import shown

_CONNECT_SECONDS = 10
_SILENCE_SECONDS = 300  # a connection that gave nothing for so long is made anew: it may be dead
_OVERLAP_SECONDS = 10  # read again on a new connection; what was there already is passed over
_PAUSE = 0.3
_NOT_FOUND = 404


class PodLog:
    """Reads the log of one container to its end.

    Args:
        api: a ``CoreV1Api``.
        name: the pod's.
        namespace: the pod's.
        emit: takes each line, as a terminal shows it.
    """

    def __init__(self, api: Any, name: str, namespace: str, emit: Callable[[str], None]) -> None:
        self._api = api
        self._name = name
        self._namespace = namespace
        self._emit = emit
        self._last: tuple[str, str] = ("", "")  # time of the newest line that was passed on
        self._count = 0  # how many lines of that very time were
        self._received: float | None = None

    def follow(self, is_over: Callable[[], bool], on_pause: Callable[[], object] = lambda: None) -> None:
        """Pass lines on until the container has ended and all were read, or the pod is gone.

        Args:
            is_over: whether the container has ended.
            on_pause: called when no more comes for now: the container may have ended.
        """
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - heavy
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - heavy

        while True:
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
            options["since_seconds"] = int(time.monotonic() - self._received) + _OVERLAP_SECONDS
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
            at_this_time, time_of_these = 0, ("", "")
            for line in _lines(answer):
                stamp, _, text = line.partition(b" ")
                when = _sortable(stamp)
                at_this_time = at_this_time + 1 if when == time_of_these else 1
                time_of_these = when
                if when < self._last or (when == self._last and at_this_time <= self._count):
                    continue
                self._last, self._count = when, at_this_time
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


def _sortable(stamp: bytes) -> tuple[str, str]:
    """A time of RFC 3339 in UTC, so that later ones compare greater: its zeros at the end are left out.

    >>> _sortable(b"2026-11-24T02:00:00.12Z") > _sortable(b"2026-11-24T02:00:00.1Z")
    True
    """
    seconds, _, fraction = stamp.decode("ascii", "replace").rstrip("Z").partition(".")
    return seconds, fraction.ljust(9, "0")
