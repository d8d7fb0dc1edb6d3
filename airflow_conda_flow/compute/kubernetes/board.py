"""Last known state of many pods of a namespace, refreshed in one request for all that wait for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_conda_flow.compute.kubernetes.cluster import Cluster
from airflow_conda_flow.compute.kubernetes.spec import LABEL

_SECONDS_PER_POD = 0.01
"""Seconds that are added between two looks for every pod that is waited for.

The answer has every pod, and reading one costs 2 to 4 ms of processor time. This keeps the cost below a third
of a processor, however many there are.
"""


class PodBoard:
    """Last known state of every pod of our flows in one namespace.

    Args:
        cluster: the cluster.
        namespace: the namespace.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        # _mutex guards the attributes below and is never held during a request; _looking is, so that one
        # thread at a time asks the cluster while the others still read.
        self._mutex = threading.Lock()
        self._looking = threading.Lock()
        self._pods: dict[str, Any] = {}
        self._looked = float("-inf")
        self._watchers = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Count one more pod that is waited for while the block runs."""
        with self._mutex:
            self._watchers += 1
        try:
            yield
        finally:
            with self._mutex:
                self._watchers -= 1

    def pause(self, shortest: float) -> float:
        """Seconds between two looks: longer for many pods."""
        return shortest + _SECONDS_PER_POD * self._watchers

    def look(self, name: str, age: float) -> Any | None:
        """State of a pod, at most ``age`` seconds old; None if it does not exist.

        Raises:
            ComputeUnavailable: the cluster refuses the request, or cannot be reached.
        """
        if not self._is_young(age):
            with self._looking:
                if not self._is_young(age):  # another thread may have looked while we waited
                    now = (
                        time.monotonic()
                    )  # before the request: a state is never younger than it claims to be
                    found = self.cluster.find_pods(self.namespace, {f"{LABEL}flow": None})
                    with self._mutex:
                        self._pods = {pod.metadata.name: pod for pod in found}
                        self._looked = now
        with self._mutex:
            return self._pods.get(name)

    def _is_young(self, age: float) -> bool:
        with self._mutex:
            return time.monotonic() - self._looked <= age
