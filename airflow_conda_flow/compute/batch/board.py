"""Cache of the states of many jobs, refreshed in few requests for all threads that wait for them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_conda_flow.compute.batch.service import BatchService, Job

OVER = ("SUCCEEDED", "FAILED")
"""Statuses of Batch that a job never leaves."""


class JobBoard:
    """Last known state of every job that a thread waits for.

    A thread that needs a newer state than the cached one refreshes all jobs, in one request per hundred.

    Args:
        service: AWS Batch in the region of the jobs.
    """

    def __init__(self, service: BatchService) -> None:
        self._service = service
        # _mutex guards the two dicts and is never held during a request; _looking is, so that one thread at a
        # time asks AWS while the others still read.
        self._mutex = threading.Lock()
        self._looking = threading.Lock()
        self._jobs: dict[str, Job | None] = {}
        self._watchers: Counter[str] = Counter()
        self._looked: dict[str, float] = {}

    @contextmanager
    def watched(self, job_id: str) -> Iterator[None]:
        """Include this job in every refresh while the block runs."""
        with self._mutex:
            self._jobs.setdefault(job_id, None)
            self._watchers[job_id] += 1
        try:
            yield
        finally:
            with self._mutex:
                self._watchers[job_id] -= 1
                if not self._watchers[job_id]:  # another try may watch it too, after it has reattached
                    for known in (self._watchers, self._jobs, self._looked):
                        known.pop(job_id, None)

    def look(self, job_id: str, age: float) -> Job | None:
        """State of a watched job, at most ``age`` seconds old; None while Batch does not list it.

        Raises:
            ComputeUnavailable: Batch cannot be reached, or refused the request.
        """
        if not self._is_young(job_id, age):
            with self._looking:
                if not self._is_young(job_id, age):  # another thread may have refreshed while we waited
                    self._look_at_all()
        with self._mutex:
            return self._jobs.get(job_id)

    def _is_young(self, job_id: str, age: float) -> bool:
        with self._mutex:
            return time.monotonic() - self._looked.get(job_id, float("-inf")) <= age

    def _look_at_all(self) -> None:
        with self._mutex:
            wanted = list(self._jobs)
        now = time.monotonic()  # before the request: a state is never younger than it claims to be
        found = self._service.describe(wanted)
        with self._mutex:
            for job_id in wanted:
                # A watcher may have left during the request. A job that is missing from the answer keeps its
                # last state, so that a gap in Batch's answers does not look like an unknown job.
                if job_id in self._jobs:
                    self._jobs[job_id] = found.get(job_id, self._jobs[job_id])
                    self._looked[job_id] = now
