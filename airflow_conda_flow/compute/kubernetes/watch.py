"""Watching one pod from its creation to its end: its log, and the obstacles that delay its start."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

from airflow_conda_flow.compute.kubernetes import state as pod_state
from airflow_conda_flow.compute.kubernetes.board import PodBoard, PodFollower, Sight
from airflow_conda_flow.compute.kubernetes.log import LogPosition, PodLog
from airflow_conda_flow.compute.kubernetes.start import PodStart
from airflow_conda_flow.compute.patience import Patience
from airflow_conda_flow.errors import ComputeForbidden, ComputeUnavailable, TaskFailed

# Seconds between two looks at a pod that has no news: for the limits of its start. Where the cluster forbids
# watching and listing, each look is a request.
_FIRST_LOOK, _LAST_LOOK = 0.2, 2.0
_BLINK = 0.1  # seconds until an interrupt, news of the pod, or the end of the log is noticed
_GRACE = 45.0  # seconds that we wait for a deleted pod to disappear: Kubernetes kills it after 30


class PodWatch:
    """Watcher of one pod; works in the calling thread, and reads the log in a thread of its own.

    Args:
        board: the states of pods in the pod's namespace.
        name: the pod's name.
        emit: receives the lines of the log, and messages about the pod.
        startup_timeout: seconds that the pod may wait for a node, and again on the node until its container
            runs.
        position: position to resume the log from; None for its beginning.
    """

    def __init__(
        self,
        board: PodBoard,
        name: str,
        emit: Callable[[str], None],
        startup_timeout: float,
        position: LogPosition | None = None,
    ) -> None:
        self.name = name
        cluster, namespace = board.cluster, board.namespace
        self._namespace = namespace
        self._cluster = cluster
        self._board = board
        self._follower: PodFollower | None = None
        self._patience = Patience()
        self._emit = emit
        self._start = PodStart(startup_timeout, lambda: cluster.last_warning(name, namespace))
        self._log = PodLog(cluster.api, name, namespace, emit, position)
        self._log_thread: threading.Thread | None = None
        self._log_paused = threading.Event()
        self._is_over = threading.Event()

    @property
    def is_over(self) -> bool:
        """True if the attempt had ended at the last look."""
        return self._is_over.is_set()

    def watch(
        self, cancel: threading.Event, is_done: Callable[[], bool], seconds: float = math.inf
    ) -> Any | None:
        """Wait until the attempt has ended, and return the pod's last state; None if it no longer exists.

        Args:
            cancel: when set, this returns early and leaves the pod as it is.
            is_done: returns True if the attempt is committed as done.
            seconds: how long to wait at most; a further call of ``watch`` continues.

        Raises:
            TaskFailed: the pod cannot start.
            ComputeUnavailable: the cluster forbids every look, or did not answer for five minutes.
        """
        pause = _FIRST_LOOK
        end = time.monotonic() + seconds
        pod = None
        while True:
            sight = self._look()
            if sight.is_known:
                pod = sight.pod
                if pod is None or pod_state.is_over(pod):
                    return self._ended(pod)
                if pod_state.has_started(pod):
                    self._follow_log()
                else:
                    self._look_at_start(pod)
            if self._wait(pause, cancel, end) or time.monotonic() >= end:
                return pod
            # The log ends with the container, but the cluster reports the end a second or two later. A
            # manifest that says "done" is proof enough to skip that wait.
            if self._log_paused.is_set() and is_done():
                return self._ended(pod)
            self._log_paused.clear()
            pause = min(pause * 1.3, _LAST_LOOK)

    def hand_over(self) -> LogPosition:
        """Stop watching, so that another watcher can take over, and return the log's position reached."""
        self._leave()
        return self._log.stop()

    def remove(self, *, wait: bool) -> None:
        """Delete the pod; with ``wait``, return when it is gone, or after 45 seconds."""
        # The attempt's result is already known; a cluster that refuses, or does not answer, must not
        # replace it by an error.
        try:
            self._cluster.delete_pod(self.name, self._namespace, has_ended=self._is_over.is_set())
            if wait:
                self._wait_until_gone()
        except ComputeUnavailable as error:
            self._emit(str(error))
        self._leave()
        self._read_rest()

    def _following(self) -> PodFollower:
        if self._follower is None:
            self._follower = self._board.follow(self.name)
        return self._follower

    def _look(self) -> Sight:
        """State of the pod; unknown while the cluster does not answer."""
        try:
            sight = self._following().look()
        except ComputeForbidden:
            raise  # nobody gives us the right while we wait
        except ComputeUnavailable as error:
            lines, sight = self._patience.unanswered(error), Sight(is_known=False)
        else:
            lines = self._board.notices()
            self._patience.answered()
        for line in lines:
            self._emit(line)
        return sight

    def _wait_until_gone(self) -> None:
        deadline = time.monotonic() + _GRACE
        has_ended = False
        while time.monotonic() < deadline:
            sight = self._look()
            if sight.is_gone:
                return
            # A pod that is told to end while it starts may have run, and printed, before anybody saw it run.
            if sight.pod is not None and pod_state.has_started(sight.pod):
                self._follow_log()
            if sight.pod is not None and pod_state.is_over(sight.pod) and not has_ended:
                has_ended = True
                self._read_rest()  # now: the log goes with the pod
                self._cluster.delete_pod(self.name, self._namespace, has_ended=True)
            self._following().news.wait(_FIRST_LOOK)

    def _leave(self) -> None:
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    def _ended(self, pod: Any | None) -> Any | None:
        """Pass the rest of the log on, and return the pod."""
        if pod is not None and pod_state.has_started(pod):
            self._follow_log()
        self._is_over.set()
        self._leave()
        if self._log_thread is not None:
            self._log_thread.join()
        return pod

    def _read_rest(self) -> None:
        """Let the log be read to the end of a pod that has ended or is gone; but not for ever."""
        self._is_over.set()
        if self._log_thread is not None:
            self._log_thread.join(_LAST_LOOK)

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

    def _wait(self, seconds: float, cancel: threading.Event, end: float) -> bool:
        """Wait until there is news, the next look is due or the log has paused; return True if cancelled."""
        due = min(time.monotonic() + seconds, end)
        news = self._following().news
        while not cancel.wait(_BLINK):
            if news.is_set() or time.monotonic() >= due or self._log_paused.is_set():
                return False
        return True
