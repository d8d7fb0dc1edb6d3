"""The time until a pod runs: its limits, and the messages about delays."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from airflow_conda_flow.compute.kubernetes.state import is_scheduled, obstacle
from airflow_conda_flow.errors import TaskFailed

# Seconds of silence at first: for a moment every new pod waits for the scheduler, which is not news.
_SETTLING = 1.0
# Seconds on a node before its warnings are asked for: creating a container normally takes less. Then the
# longest pause between two questions, each of which is a request.
_STARTING, _LONGEST = 5.0, 60.0


class PodStart:
    """Observer of one pod until it runs: reports obstacles, and decides when to give up.

    Args:
        timeout: seconds that the pod may wait for a node, and again on the node until its container runs.
        last_warning: returns the newest warning among the pod's events, such as that a volume cannot be
            mounted.
        share: returns the pause between two questions of many pods; takes the pause of a single pod.
    """

    def __init__(
        self,
        timeout: float,
        last_warning: Callable[[], str | None] = lambda: None,
        share: Callable[[float], float] = lambda pause: pause,
    ) -> None:
        self._timeout = timeout
        self._last_warning = last_warning
        self._share = share
        self._asked = 0.0  # the wait at the last question, in seconds
        self._pause = _STARTING
        self._since = time.monotonic()
        self._scheduled = False
        self._met: float | None = None
        self._said: str | None = None

    def look(self, pod: Any) -> str | None:
        """Message about the obstacle that keeps the pod from running; None if there is nothing new.

        Args:
            pod: the pod's current state, a ``V1Pod``.

        Raises:
            TaskFailed: the pod can never run, or has taken too long.
        """
        now = time.monotonic()
        if not self._scheduled and is_scheduled(pod):
            self._scheduled, self._since = True, now
        waited = now - self._since
        found = obstacle(pod)
        # The patience counts from the first look with such an obstacle, and anew after a look without one.
        patience = None if found is None else found.patience
        self._met = None if patience is None else (self._met or now)
        if found is not None and self._met is not None and now - self._met >= (patience or 0):
            raise TaskFailed(self._with_warning(found.message))
        if waited >= self._timeout:
            what = f"Pod {pod.metadata.name} does not start." if found is None else found.message
            limit = "CONDA_FLOW_KUBERNETES_STARTUP_TIMEOUT sets how many."
            raise TaskFailed(self._with_warning(f"{what} It was given up after {waited:.0f} s; {limit}"))
        message = self._unnamed(pod, waited) if found is None else found.message
        if message is None or waited < _SETTLING or message == self._said:
            return None
        self._said = message
        return message

    def _unnamed(self, pod: Any, waited: float) -> str | None:
        """Message about an obstacle that only the pod's events name, such as a volume that does not mount."""
        if not self._scheduled or waited - self._asked < self._pause:
            return None
        self._asked = waited
        # A volume is mounted within seconds, or somebody is needed: the first questions matter most.
        self._pause = self._share(min(self._pause * 2, _LONGEST))
        warning = self._last_warning()
        return f"Pod {pod.metadata.name} does not start yet. The cluster says: {warning}" if warning else None

    def _with_warning(self, message: str) -> str:
        warning = self._last_warning()
        return f"{message} The cluster says: {warning}" if warning else message
