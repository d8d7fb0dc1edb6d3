"""How long a pod may take until it runs, and what is said while it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from airflow_conda_flow.compute.pod_state import is_scheduled, obstacle
from airflow_conda_flow.errors import TaskFailed

_SETTLING = 1.0  # seconds in which a pod may wait for a node without a word
_STARTING = 5.0  # seconds in which a node may make a container without a word


class PodStart:
    """Looks at a pod again and again until it runs.

    Args:
        timeout: seconds until a node takes the pod, and again on the node.
        last_warning: the newest warning among the pod's events, such as that a volume cannot be mounted.
    """

    def __init__(self, timeout: float, last_warning: Callable[[], str | None] = lambda: None) -> None:
        self._timeout = timeout
        self._last_warning = last_warning
        self._since = time.monotonic()
        self._scheduled = False
        self._met: float | None = None
        self._said: str | None = None

    def look(self, pod: Any) -> str | None:
        """What keeps the pod, where that is news.

        Raises:
            TaskFailed: the pod can never run, or takes too long.
        """
        now = time.monotonic()
        if not self._scheduled and is_scheduled(pod):
            self._scheduled, self._since = True, now
        waited = now - self._since
        found = obstacle(pod)
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
        """What keeps a pod on its node of which its own state says nothing."""
        warning = self._last_warning() if self._scheduled and waited >= _STARTING else None
        return f"Pod {pod.metadata.name} does not start yet. The cluster says: {warning}" if warning else None

    def _with_warning(self, message: str) -> str:
        warning = self._last_warning()
        return f"{message} The cluster says: {warning}" if warning else message
