"""The thread behind a board of pods: lists them once, and then watches what changes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from airflow_conda_flow.compute.kubernetes.cluster import Cluster
from airflow_conda_flow.compute.kubernetes.events import PodEvents
from airflow_conda_flow.compute.kubernetes.refusals import Outdated
from airflow_conda_flow.errors import ComputeForbidden, ComputeUnavailable

_WATCH_SECONDS = 60
"""Seconds of one watch.

A connection that died without a word is noticed within them and some slack. A request a minute is cheap.
"""
_RELIST_SECONDS = 300.0
"""Age of the list at which the pods are listed again, whatever the watch has said."""
_SHORT_SECONDS = 5.0
"""A watch that ends sooner, without any news, counts as a failure: some proxies end every one at once."""
_LONGEST_PAUSE = (
    10.0  # seconds; an API server that comes back is noticed soon, and many watchers do not crowd it
)
_SAY_AFTER = 5.0
"""Seconds without an answer after which followers hear of it."""
_FORBIDDEN_SECONDS = 600.0
"""Seconds after which something forbidden is tried again: the right may have been given."""
_FAILURES_TO_LIST = 3
"""Watches that fail in a row before the pods are listed too, so that ends are seen without any watch."""


class Receiver(Protocol):
    """Whoever is told of the pods; every call comes from the feed's thread, and names the feed."""

    def listed(self, feed: PodFeed, pods: list[dict[str, Any]], began: float) -> None:
        """These are all pods, as of a moment after ``began``, a time of ``time.monotonic``."""

    def changed(self, feed: PodFeed, kind: str, pod: dict[str, Any]) -> None:
        """A pod was ADDED, MODIFIED or DELETED."""

    def reached(self, feed: PodFeed, *, is_watched: bool) -> None:
        """The cluster answers a list or, with ``is_watched``, a watch."""

    def failed(self, feed: PodFeed, error: ComputeUnavailable) -> None:
        """The cluster has not answered for some seconds."""

    def forbidden(self, feed: PodFeed, error: ComputeForbidden, *, to_list: bool) -> None:
        """Pods cannot be watched or, with ``to_list``, not even be listed."""

    def pause(self, shortest: float) -> float:
        """Seconds between two lists, where watching is forbidden."""


class PodFeed:
    """Thread that tells a receiver of the pods with some labels in one namespace, until it is stopped.

    Args:
        receiver: whoever is told.
        cluster: returns the cluster; asked before each request, because a connection may be made anew.
        namespace: the namespace.
        labels: labels of the pods; None stands for any value.
    """

    def __init__(
        self,
        receiver: Receiver,
        cluster: Callable[[], Cluster],
        namespace: str,
        labels: Mapping[str, str | None],
    ) -> None:
        self._receiver = receiver
        self._cluster = cluster
        self._namespace = namespace
        self._labels = labels
        self._stopped = threading.Event()
        # Guards _events: stop may be called while the thread opens a stream.
        self._mutex = threading.Lock()
        self._events: PodEvents | None = None
        self._version: str | None = None
        self._listed = float("-inf")
        self._failures = 0
        self._unanswered_since: float | None = None
        self._watch_again = float("-inf")
        self._thread = threading.Thread(target=self._run, name=f"pods of {namespace}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Make the thread end, and return at once."""
        self._stopped.set()
        with self._mutex:
            if self._events is not None:
                self._events.interrupt()

    def _run(self) -> None:
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                pause = self._next()
            except ComputeUnavailable as error:
                pause = self._failed(error, began)
            except Exception as error:  # noqa: BLE001 - without this thread all followers would wait for ever
                text = f"Pods in the namespace {self._namespace} cannot be followed: "
                pause = self._failed(ComputeUnavailable(f"{text}{type(error).__name__}: {error}"), began)
            self._stopped.wait(pause)

    def _next(self) -> float:
        """List or watch the pods; return the seconds until the next call."""
        now = time.monotonic()
        may_watch = now >= self._watch_again
        if self._version is None or not may_watch or now - self._listed >= _RELIST_SECONDS:
            try:
                self._list()
            except ComputeForbidden as error:
                self._receiver.forbidden(self, error, to_list=True)
                return _FORBIDDEN_SECONDS
            if not may_watch:
                return self._receiver.pause(1.0)
        try:
            return self._watch()
        except ComputeForbidden as error:
            self._watch_again = time.monotonic() + _FORBIDDEN_SECONDS
            self._receiver.forbidden(self, error, to_list=False)
            return self._receiver.pause(1.0)

    def _list(self) -> None:
        began = time.monotonic()
        pods, self._version = self._cluster().list_pods(self._namespace, self._labels)
        self._listed = began
        self._answered(is_watched=False)
        self._receiver.listed(self, pods, began)

    def _watch(self) -> float:
        began = time.monotonic()
        is_silent = is_useless = True
        assert self._version is not None  # noqa: S101 - _next has listed the pods
        try:
            opened = self._cluster().watch_pods(self._namespace, self._labels, self._version, _WATCH_SECONDS)
        except Outdated:
            self._version = None
            return self._pause()
        self._answered(is_watched=True)
        try:
            with contextlib.closing(opened) as events:
                self._opened(events)
                for kind, pod in events:
                    is_silent = False
                    self._version = str(pod["metadata"]["resourceVersion"])
                    if kind != "BOOKMARK":
                        is_useless = False
                        self._receiver.changed(self, kind, pod)
        except Outdated:
            self._version = None
        except ComputeUnavailable:
            pass  # the connection broke; the next watch resumes at the last version
        finally:
            with self._mutex:
                self._events = None
        if is_useless and time.monotonic() - began < _SHORT_SECONDS:
            return self._pause()
        self._failures = 0
        if is_silent:  # not even a bookmark: the cluster may have lost us
            self._version = None
        return 0.0

    def _opened(self, events: PodEvents) -> None:
        with self._mutex:
            self._events = events
            if self._stopped.is_set():
                events.interrupt()

    def _answered(self, *, is_watched: bool) -> None:
        self._unanswered_since = None
        self._receiver.reached(self, is_watched=is_watched)

    def _failed(self, error: ComputeUnavailable, began: float) -> float:
        """Note a failure of what began at this time; return the seconds to wait."""
        # From the beginning, as a list that is tried again and again may itself take minutes to fail.
        if self._unanswered_since is None:
            self._unanswered_since = began
        if time.monotonic() - self._unanswered_since >= _SAY_AFTER:
            self._receiver.failed(self, error)
        return self._pause()

    def _pause(self) -> float:
        """Seconds to wait after one more failure."""
        self._failures += 1
        if self._failures >= _FAILURES_TO_LIST:
            self._version = None
        pause: float = min(0.1 * 2**self._failures, _LONGEST_PAUSE)
        # If it is the watches alone that fail, the lists between them take their place.
        return pause if self._unanswered_since is not None else min(pause, self._receiver.pause(1.0))
