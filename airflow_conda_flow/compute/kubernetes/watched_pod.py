"""A pod that Airflow's triggerer waits for, beside many others, without a thread of its own."""

from __future__ import annotations

import contextlib
import time
from contextlib import ExitStack

from airflow_conda_flow.compute.kubernetes import state as pod_state
from airflow_conda_flow.compute.kubernetes.board import PodBoard
from airflow_conda_flow.compute.kubernetes.log import LogPosition, PodLog
from airflow_conda_flow.compute.kubernetes.start import PodStart
from airflow_conda_flow.compute.patience import Patience
from airflow_conda_flow.compute.remote_attempt import End
from airflow_conda_flow.errors import ComputeUnavailable, TaskFailed

# Seconds between two looks at a pod that starts, so that obstacles are reported soon, and at one that runs.
_STARTING, _RUNNING = 1.0, 2.0
_LOG_SECONDS = 5.0  # between two readings of a pod's log, each of which is a request


class WatchedPod:
    """The ``Watched`` of Kubernetes.

    Args:
        board: the states of the pods of its namespace.
        name: the pod's name.
        startup_timeout: seconds that the pod may wait for a node, and again on the node until its container
            runs.
        position: ``str`` of the ``LogPosition`` up to which the log was read; empty for its beginning.
    """

    def __init__(self, board: PodBoard, name: str, startup_timeout: float, position: str = "") -> None:
        self.name = name
        self._board = board
        cluster, namespace = board.cluster, board.namespace
        self._lines: list[str] = []
        self._log = PodLog(cluster.api, name, namespace, self._lines.append, LogPosition(position))
        self._log_read = float("-inf")
        self._start = PodStart(startup_timeout, lambda: cluster.last_warning(name, namespace))
        self._patience = Patience()
        self._end: End | None = None
        self._shortest = _STARTING
        self._begun = time.monotonic()
        self._counted = ExitStack()
        self._counted.enter_context(board.watched())

    @property
    def is_over(self) -> bool:
        """True if the pod had ended at the last look."""
        return self._end is not None

    @property
    def pause(self) -> float:
        """Seconds until the next look."""
        return self._board.pause(self._shortest)

    def lines(self) -> list[str]:
        """Look at the pod, and return the new lines of its log, and lines of ours about its start.

        Raises:
            ComputeUnavailable: the cluster did not answer for five minutes.
        """
        # Half a pause: one of many watchers refreshes the board, and the others reuse its look. A look from
        # before this watch may be from before the pod too, which would then seem to be deleted.
        age = min(self.pause / 2, time.monotonic() - self._begun)
        try:
            pod = self._board.look(self.name, age)
        except ComputeUnavailable as error:
            return self._patience.unanswered(error)
        self._patience.answered()
        if pod is not None and pod_state.has_started(pod):
            self._shortest = _RUNNING
            now = time.monotonic()
            if pod_state.is_over(pod) or now - self._log_read >= _LOG_SECONDS:
                self._log_read = now
                self._log.read()
        elif pod is not None and not pod_state.is_over(pod):
            try:
                self._lines.extend(filter(None, [self._start.look(pod)]))
            except TaskFailed as error:
                self._end = End(str(error))
        if pod is None or pod_state.is_over(pod):
            self._end = pod_state.end_of(pod, self.name)
        found, self._lines[:] = list(self._lines), []
        return found

    def end(self) -> End:
        """How the pod ended."""
        return self._end or End(None, f"Pod {self.name} has not ended.")

    def remove(self) -> None:
        """Delete the pod; a cluster that does not answer is no error."""
        with contextlib.suppress(ComputeUnavailable):
            self._board.cluster.delete_pod(self.name, self._board.namespace, has_ended=self.is_over)

    def close(self) -> None:
        """Stop counting the pod as one that is waited for."""
        self._counted.close()
