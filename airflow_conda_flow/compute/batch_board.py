"""What many jobs do now, asked for in few requests by the many threads that wait for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_conda_flow.compute.batch_service import BatchService, Job

OVER = ("SUCCEEDED", "FAILED")


class JobBoard:
    """The last look at every job that somebody waits for.

    Whoever wants a younger look than there is takes one at all of the jobs, in one request for a hundred.

    Args:
        service: where the jobs are.
    """

    def __init__(self, service: BatchService) -> None:
        self._service = service
        self._mutex = threading.Lock()
        self._looking = threading.Lock()
        self._jobs: dict[str, Job | None] = {}
        self._looked: dict[str, float] = {}

    @contextmanager
    def watched(self, job_id: str) -> Iterator[None]:
        """While the block runs, looks take in this job."""
        with self._mutex:
            self._jobs.setdefault(job_id, None)
        try:
            yield
        finally:
            with self._mutex:
                self._jobs.pop(job_id, None)
                self._looked.pop(job_id, None)

    def look(self, job_id: str, age: float) -> Job | None:
        """A watched job as it was up to ``age`` seconds ago; None while Batch does not know it.

        Raises:
            ComputeUnavailable: Batch cannot be asked.
        """
        if not self._is_young(job_id, age):
            with self._looking:
                if not self._is_young(job_id, age):  # nobody looked while we waited for our turn
                    self._look_at_all()
        with self._mutex:
            return self._jobs.get(job_id)

    def _is_young(self, job_id: str, age: float) -> bool:
        with self._mutex:
            return time.monotonic() - self._looked.get(job_id, float("-inf")) <= age

    def _look_at_all(self) -> None:
        with self._mutex:
            wanted = list(self._jobs)
        now = time.monotonic()
        found = self._service.describe(wanted)
        with self._mutex:
            for job_id in wanted:
                if job_id in self._jobs:
                    self._jobs[job_id] = found.get(job_id, self._jobs[job_id])
                    self._looked[job_id] = now
