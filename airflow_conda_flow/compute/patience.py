"""How long to go on without answers from a cluster that runs a pod or job."""

from __future__ import annotations

import time

from airflow_conda_flow.errors import ComputeUnavailable

_PATIENCE = 300.0
"""Seconds without an answer after which we give up; the pod or job itself runs on meanwhile."""


class Patience:
    """Decides whether a missing answer is an outage to wait out.

    A pod or job does not depend on our network, so a short outage must not fail its attempt.
    """

    def __init__(self) -> None:
        self._unanswered_since: float | None = None

    def answered(self) -> None:
        """Note an answer."""
        self._unanswered_since = None

    def unanswered(self, error: ComputeUnavailable) -> list[str]:
        """Lines to print about a missing answer; raises ``error`` after five minutes without one."""
        now = time.monotonic()
        if self._unanswered_since is None:
            self._unanswered_since = now
            return [f"{error} Asking again for {_PATIENCE / 60:g} minutes."]
        if now - self._unanswered_since > _PATIENCE:
            raise error
        return []
