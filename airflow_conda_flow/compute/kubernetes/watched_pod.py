"""A pod that Airflow's triggerer waits for, beside many others, without a thread of its own."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from airflow_conda_flow.compute.kubernetes import state as pod_state
from airflow_conda_flow.compute.kubernetes.board import PodBoard, PodFollower
from airflow_conda_flow.compute.kubernetes.log import LogPosition, PodLog
from airflow_conda_flow.compute.kubernetes.start import PodStart
from airflow_conda_flow.compute.patience import Patience
from airflow_conda_flow.compute.remote_attempt import End
from airflow_conda_flow.errors import ComputeUnavailable, TaskFailed
from airflow_conda_flow.runner.manifest_line import ToldManifest

# Seconds between two looks at a pod that starts, so that obstacles are reported soon, and at one that runs.
# Neither is a request while the board watches. An end is news, for which nobody waits so long.
_STARTING, _RUNNING = 1.0, 2.0
_LOG_SECONDS = 5.0
"""Seconds between two readings of a pod's log, each of which is a request; more for more than 50 pods."""
_ENDING_SECONDS = 0.5
"""The same for a pod that was told to end, whether its log is read so often or is followed."""
_OPEN_SECONDS = 1.0
"""Seconds in which the cluster should begin to send a log that is followed; without a line it may not."""
_FOLLOWED = threading.BoundedSemaphore(50)
"""Logs of ending pods that a process follows at the same time, each with a thread and a connection.

A step may end so soon after its pod was told to end that pod and log are gone before another request: only a
connection that was open before gets its last lines. Of more pods, the log is read as of those that run."""
_BLINK, _LONGEST = 0.1, 60.0
_LAST_READINGS = 5
"""Readings of the log of an ended pod at most: nobody reads the log after them."""
_LAST_PAUSE = 1.0
"""Seconds between two of them: the container runtime writes its last lines well within that."""


class WatchedPod:
    """The ``Watched`` of Kubernetes.

    Args:
        board: the states of the pods of its namespace.
        name: the pod's name.
        startup_timeout: seconds that the pod may wait for a node, and again on the node until its container
            runs.
        position: ``str`` of the ``LogPosition`` up to which the log was read; empty for its beginning.
        manifest: digest of the attempt's manifest that the log has told up to there.
    """

    def __init__(
        self,
        board: PodBoard,
        name: str,
        startup_timeout: float,
        position: str = "",
        manifest: str | None = None,
    ) -> None:
        self.name = name
        self._board = board
        cluster, namespace = board.cluster, board.namespace
        self._lines: deque[str] = deque()  # two threads may append to it
        self._told = ToldManifest(manifest, self._lines.append)
        self._log = PodLog(cluster.api, name, namespace, self._told.line, LogPosition(position))
        self._log_due: float | None = None
        self._is_ending = False
        self._has_ended = threading.Event()
        self._reader: threading.Thread | None = None
        self._start = PodStart(startup_timeout, lambda: cluster.last_warning(name, namespace), board.share)
        self._patience = Patience()
        self._end: End | None = None
        self._on_news: Callable[[], object] = _nothing
        # From the first look on: whoever only removes a pod need not follow it.
        self._follower: PodFollower | None = None

    @property
    def is_over(self) -> bool:
        """True if the pod had ended at the last look."""
        return self._end is not None

    @property
    def pause(self) -> float:
        """Seconds until the next look, unless there is news before."""
        if self._reader is not None:
            return _ENDING_SECONDS
        if not self._board.is_watched:
            return self._board.pause(_STARTING if self._log_due is None else _RUNNING)
        if self._log_due is None:
            return self._board.pause(_STARTING)
        return min(max(self._log_due - time.monotonic(), _BLINK), _LONGEST)

    def on_news(self, call: Callable[[], object]) -> None:
        """Call this, from another thread, when the pod has changed."""
        self._on_news = call

    def lines(self) -> list[str]:
        """Look at the pod, and return the new lines of its log, and lines of ours about it.

        Raises:
            ComputeUnavailable: the cluster did not answer for five minutes.
        """
        if self._follower is None:
            self._follower = self._board.follow(self.name, self._on_news)
        try:
            sight = self._follower.look()
        except ComputeUnavailable as error:
            return self._patience.unanswered(error)
        self._patience.answered()
        self._lines.extend(self._board.notices())
        if sight.is_known:
            self._look(sight.pod)
        return [self._lines.popleft() for _ in range(len(self._lines))]

    def _look(self, pod: Any | None) -> None:
        is_over = pod is None or pod_state.is_over(pod)
        if pod is not None and pod_state.has_started(pod):
            if pod_state.is_ending(pod) and not is_over:
                self._follow_log()
            self._read_log(is_last=is_over)
        elif not is_over:
            try:
                self._lines.extend(filter(None, [self._start.look(pod)]))
            except TaskFailed as error:
                self._end = End(str(error), has_run=False)
        if is_over:
            self._has_ended.set()
            if self._reader is not None:
                self._reader.join(_LAST_READINGS * _LAST_PAUSE)
            self._end = pod_state.end_of(pod, self.name)

    def _read_log(self, *, is_last: bool) -> None:
        if self._reader is not None:
            return
        now = time.monotonic()
        pause = _ENDING_SECONDS if self._is_ending else self._board.share(_LOG_SECONDS)
        if self._log_due is None:
            # At once for few pods. Many pods may be met at once, by a triggerer that starts again.
            self._log_due = now + random.random() * (pause - _LOG_SECONDS)  # noqa: S311 - no secret
        if is_last:
            for reading in range(_LAST_READINGS):
                if self._log.read():
                    break
                time.sleep(_LAST_PAUSE * min(reading, 1))
        elif now >= self._log_due:
            self._log_due = now + pause
            self._log.read()

    def _follow_log(self) -> None:
        """Let a thread read the log from where it was read to, until the container ends."""
        if self._reader is None and _FOLLOWED.acquire(blocking=False):
            self._reader = threading.Thread(target=self._read_to_end, name=f"log of {self.name}", daemon=True)
            self._reader.start()

    def _read_to_end(self) -> None:
        try:
            self._log.follow(self._has_ended.is_set)
        finally:
            _FOLLOWED.release()

    def end(self) -> End:
        """How the pod ended."""
        end = self._end or End(None, f"Pod {self.name} has not ended.")
        return replace(end, manifest=self._told.sha256)

    def remove(self) -> str | None:
        """Delete the pod; returns why it is left, if the cluster refuses or does not answer.

        What the step prints while it ends is among the next lines.
        """
        if not self.is_over:
            self._is_ending = True
            if self._log_due is not None:  # it has started
                self._log_due = 0.0
                self._log.is_open.clear()
                self._follow_log()
                if self._reader is not None:
                    self._log.is_open.wait(_OPEN_SECONDS)
        try:
            self._board.cluster.delete_pod(self.name, self._board.namespace, has_ended=self.is_over)
        except ComputeUnavailable as error:
            return str(error)
        return None

    def close(self) -> None:
        """Stop following the pod, until the next look. Idempotent."""
        if self._follower is not None:
            self._follower.close()
            self._follower = None


def _nothing() -> None:
    """For a pod of whose news nobody wants to hear."""
