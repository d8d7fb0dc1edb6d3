"""Waits for a job to end, and passes on what it prints and what becomes of it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from airflow_conda_flow.compute.batch_board import OVER, JobBoard
from airflow_conda_flow.compute.batch_log import JobLog
from airflow_conda_flow.compute.batch_service import BatchService, Job
from airflow_conda_flow.errors import ComputeUnavailable

_ENDING_SECONDS = 35.0
"""What a job gets to end itself after it was told to: Batch kills it after 30."""
_FIRST_INTERVAL = 1.0
_SLOWER = 10.0
_LATE_LINES_SECONDS = 1.0
_PATIENCE = 300.0
"""Seconds for which Batch may not answer before a job is given up."""


class JobNews:
    """What is new of one job; asked again and again by whoever waits for it, in a thread or a coroutine.

    Args:
        job_id: the job.
        board: where looks at jobs are shared.
        log: its output; None where that cannot be read.
        interval: seconds between two looks at a job that has run for a while.
        has_printed: whether a line of its output came, to whoever waited before.

    Attributes:
        job: the job at the last look; None before, and while Batch does not know it.
        has_printed: whether a line of its output came.
    """

    def __init__(
        self, job_id: str, board: JobBoard, log: JobLog | None, interval: float, *, has_printed: bool = False
    ) -> None:
        self.job: Job | None = None
        self.has_printed = has_printed
        self._job_id = job_id
        self._board = board
        self._log = log
        self._interval = interval
        self._status: str | None = None
        self._unanswered_since: float | None = None
        self._started = time.monotonic()

    @property
    def log_token(self) -> str | None:
        """How far its output was read; None for not at all."""
        return self._log.token if self._log else None

    @property
    def pause(self) -> float:
        """Seconds until the next look: few for a young job, up to the interval."""
        waited = (time.monotonic() - self._started) / _SLOWER
        return min(self._interval, max(_FIRST_INTERVAL, waited))

    @property
    def is_over(self) -> bool:
        """Whether the job had ended at the last look."""
        return self.job is not None and self.job["status"] in OVER

    def lines(self) -> list[str]:
        """Look; gives what the job printed since, and a line of ours where its status changed.

        Raises:
            ComputeUnavailable: Batch could not be asked for minutes.
        """
        try:
            job = self.job = self._board.look(self._job_id, self.pause / 2)
        except ComputeUnavailable as error:
            return self._unanswered(error)
        self._unanswered_since = None
        if job is None:
            return []
        found = []
        if job["status"] != self._status:
            self._status = job["status"]
            if not self.is_over:
                hint = job.get("statusReason")
                found.append(f"Job is {self._status}" + (f": {hint}" if hint else "."))
        return found + self._printed(job)

    def _unanswered(self, error: ComputeUnavailable) -> list[str]:
        """A job outlives a network that fails for a while; so does whoever waits for it."""
        now = time.monotonic()
        if self._unanswered_since is None:
            self._unanswered_since = now
            return [f"{error} Asking again for {_PATIENCE / 60:g} minutes."]
        if now - self._unanswered_since > _PATIENCE:
            raise error
        return []

    def _printed(self, job: Job) -> list[str]:
        stream = (job.get("container") or {}).get("logStreamName")
        if self._log is None or not stream:
            return []
        try:
            lines = self._log.read(stream, is_last=self.is_over)
            if self.is_over and not lines and not self.has_printed:
                time.sleep(_LATE_LINES_SECONDS)  # CloudWatch may be behind Batch
                lines = self._log.read(stream, is_last=True)
        except ComputeUnavailable as error:
            self._log = None
            return [str(error)]
        self.has_printed = self.has_printed or bool(lines)
        return lines


def follow(
    job_id: str,
    service: BatchService,
    board: JobBoard,
    news: JobNews,
    line: Callable[[str], None],
    cancel: threading.Event,
    seconds: float = math.inf,
) -> Job | None:
    """Wait in this thread until the job has ended, or until it was told to and had the time to.

    Args:
        job_id: the job.
        service: where it is.
        board: takes it in while this waits.
        news: what is new of it.
        line: takes each line.
        cancel: when set, the job is told to end.
        seconds: how long to wait for a job that was not told to end.

    Returns:
        the job as it was at the last look; None if Batch never knew it.

    Raises:
        ComputeUnavailable: Batch cannot be asked, though boto3 tried for a while.
    """
    deadline = None
    end = time.monotonic() + seconds
    with board.watched(job_id):
        while True:
            for text in news.lines():
                line(text)
            if news.is_over or (deadline is not None and time.monotonic() > deadline):
                return news.job
            if cancel.is_set():
                if deadline is None:
                    deadline = time.monotonic() + _ENDING_SECONDS
                    service.terminate(job_id)
                time.sleep(_FIRST_INTERVAL)
            elif time.monotonic() >= end:
                return news.job
            else:
                cancel.wait(news.pause)
