"""One pod from its making to its end: its log as it comes, and what keeps it from running."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from airflow_conda_flow.compute import pod_state
from airflow_conda_flow.compute.kubernetes_cluster import Cluster
from airflow_conda_flow.compute.pod_log import LogPosition, PodLog
from airflow_conda_flow.compute.pod_start import PodStart
from airflow_conda_flow.errors import ComputeUnavailable, TaskFailed

_FIRST_LOOK, _LAST_LOOK = 0.2, 2.0  # seconds between two looks at a pod: often at first, then less
_BLINK = 0.1  # seconds until an interrupt, or the end of the log, is noticed
_GRACE = 45.0  # seconds for a pod to go: Kubernetes kills after 30


class PodWatch:
    """Watches a pod in the calling thread.

    Args:
        cluster: where it is.
        name: the pod's.
        namespace: the pod's.
        emit: takes the lines of its log, and what is said about it.
        startup_timeout: seconds until a node takes the pod, and again on the node.
        position: how much of the log is known already.
    """

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        namespace: str,
        emit: Callable[[str], None],
        startup_timeout: float,
        position: LogPosition | None = None,
    ) -> None:
        self.name = name
        self._namespace = namespace
        self._cluster = cluster
        self._emit = emit
        self._start = PodStart(startup_timeout, lambda: cluster.last_warning(name, namespace))
        self._log = PodLog(cluster.api, name, namespace, emit, position)
        self._log_thread: threading.Thread | None = None
        self._log_paused = threading.Event()
        self._is_over = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether the attempt had ended when it was last looked at."""
        return self._is_over.is_set()

    def watch(
        self, cancel: threading.Event, is_done: Callable[[], bool], seconds: float = math.inf
    ) -> Any | None:
        """The pod when the attempt has ended, None if it is gone; returns early when cancelled.

        Args:
            cancel: when set, the pod is left as it is.
            is_done: whether the attempt is committed as done.
            seconds: returns then, if it has not ended; ``watch`` again goes on.

        Raises:
            TaskFailed: it cannot start.
            ComputeUnavailable: the cluster cannot be asked.
        """
        pause = _FIRST_LOOK
        end = time.monotonic() + seconds
        while True:
            pod = self._cluster.read_pod(self.name, self._namespace)
            if pod is None or pod_state.is_over(pod):
                return self._ended(pod)
            if pod_state.has_started(pod):
                self._follow_log()
            else:
                self._look_at_start(pod)
            if self._wait(pause, cancel) or time.monotonic() >= end:
                return pod
            # The log ends with the container; what the cluster says of it lags behind by a second or two.
            if self._log_paused.is_set() and is_done():
                return self._ended(pod)
            self._log_paused.clear()
            pause = min(pause * 1.3, _LAST_LOOK)

    def hand_over(self) -> LogPosition:
        """Leave the pod to somebody else; gives how much of its log was passed on."""
        return self._log.stop()

    def remove(self, *, wait: bool) -> None:
        """Delete the pod; with ``wait``, return when it is gone."""
        # What the task came to is known; a cluster that does not answer must not hide it.
        with contextlib.suppress(ComputeUnavailable):
            self._cluster.delete_pod(self.name, self._namespace, has_ended=self._is_over.is_set())
            deadline = time.monotonic() + _GRACE
            while wait and time.monotonic() < deadline:
                pod = self._cluster.read_pod(self.name, self._namespace)
                if pod is None:
                    break
                if pod_state.is_over(pod):
                    self._cluster.delete_pod(self.name, self._namespace, has_ended=True)
                time.sleep(_FIRST_LOOK)
        self._is_over.set()
        if self._log_thread is not None:
            self._log_thread.join(_LAST_LOOK)

    def _ended(self, pod: Any | None) -> Any | None:
        """The pod, when all of its log was passed on."""
        if pod is not None and pod_state.has_started(pod):
            self._follow_log()
        self._is_over.set()
        if self._log_thread is not None:
            self._log_thread.join()
        return pod

    def _follow_log(self) -> None:
        if self._log_thread is None:
            self._log_thread = threading.Thread(
                target=self._log.follow,
                args=(self._is_over.is_set, self._log_paused.set),
                name=f"log of {self.name}",
                daemon=True,
            )
            self._log_thread.start()

    def _look_at_start(self, pod: Any) -> None:
        try:
            news = self._start.look(pod)
        except TaskFailed:
            self._is_over.set()
            raise
        if news is not None:
            self._emit(news)

    def _wait(self, seconds: float, cancel: threading.Event) -> bool:
        """Wait until the next look is due, or the log has paused; True if cancelled."""
        due = time.monotonic() + seconds
        while not cancel.wait(_BLINK):
            if time.monotonic() >= due or self._log_paused.is_set():
                return False
        return True
