"""Waiting for a job to end, while its output and its changes of status are passed on."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from airflow_conda_flow.compute.batch.board import OVER, JobBoard
from airflow_conda_flow.compute.batch.failure import end_of
from airflow_conda_flow.compute.batch.log import JobLog
from airflow_conda_flow.compute.batch.service import Job
from airflow_conda_flow.compute.patience import Patience
from airflow_conda_flow.compute.remote_attempt import End
from airflow_conda_flow.errors import ComputeUnavailable
from airflow_conda_flow.runner.manifest_line import NOTHING, ToldManifest

ENDING_SECONDS = 35.0
"""Seconds that we wait for a job to end after we terminated it. Batch kills its container after 30."""
_FIRST_INTERVAL = 1.0
"""Seconds between the first looks at a job, so that the end of a short job is noticed soon."""
_SLOWER = 10.0
"""Divisor: a pause is a tenth of the time waited so far, so the end is noticed at most 10 % late."""
_LATE_LINES_SECONDS = 1.0
"""Pause before a further reading of a log whose last line is missing when its job has ended."""
_LATE_READINGS = 3
"""Such readings at most. Then the job has ended without that line."""


class JobNews:
    """News about one job: its new lines and status. Threads and coroutines poll it until the job ends.

    Args:
        job_id: the job.
        board: the shared cache of job states.
        log: the job's output; None if it cannot be read.
        interval: longest pause between two looks, in seconds.
        has_printed: True if an earlier ``JobNews`` of the job already returned a line of its output.
        manifest: digest of the attempt's manifest that an earlier ``JobNews`` was told.

    Attributes:
        job: the job at the last look; None before the first one, and while Batch does not list it.
        has_printed: True once a line of the job's output was returned, here or earlier.
    """

    def __init__(
        self,
        job_id: str,
        board: JobBoard,
        log: JobLog | None,
        interval: float,
        *,
        has_printed: bool = False,
        manifest: str | None = None,
    ) -> None:
        self.job: Job | None = None
        self.has_printed = has_printed
        self._job_id = job_id
        self._board = board
        self._log = log
        self._interval = interval
        self._status: str | None = None
        self._told = ToldManifest(manifest)
        self._patience = Patience()
        self._started = time.monotonic()

    @property
    def log_token(self) -> str | None:
        """Position up to which the output was read, for the next ``JobNews``; None at its beginning."""
        return self._log.token if self._log else None

    @property
    def manifest(self) -> str | None:
        """Digest of the attempt's manifest that the output has told."""
        return self._told.sha256

    def end(self) -> End:
        """How the job ended, as of the last look."""
        return replace(end_of(self.job, self._job_id), manifest=self.manifest)

    @property
    def pause(self) -> float:
        """Seconds until the next look: one for a young job, growing up to the interval."""
        waited = (time.monotonic() - self._started) / _SLOWER
        return min(self._interval, max(_FIRST_INTERVAL, waited))

    @property
    def is_over(self) -> bool:
        """True if the job had ended at the last look."""
        return self.job is not None and self.job["status"] in OVER

    def lines(self) -> list[str]:
        """New lines since the last call: the job's output, and a line of ours if its status changed.

        Raises:
            ComputeUnavailable: Batch did not answer for five minutes.
        """
        try:
            # Half a pause: one of many watchers refreshes the board, and the others reuse its look.
            job = self.job = self._board.look(self._job_id, self.pause / 2)
        except ComputeUnavailable as error:
            return self._patience.unanswered(error)
        self._patience.answered()
        if job is None:
            return []
        found = []
        if job["status"] != self._status:
            self._status = job["status"]
            if not self.is_over:
                hint = job.get("statusReason")
                found.append(f"Job is {self._status}" + (f": {hint}" if hint else "."))
        return found + self._printed(job)

    def _printed(self, job: Job) -> list[str]:
        stream = (job.get("container") or {}).get("logStreamName")
        if self._log is None or not stream:
            return []
        lines: list[str] = []
        try:
            lines += self._read(self._log, stream)
            for _ in range(self._late_readings):
                time.sleep(_LATE_LINES_SECONDS)
                lines += self._read(self._log, stream)
                if self._is_told:
                    break
        except ComputeUnavailable as error:
            # The job is still worth waiting for. If nothing was read so far, its lines are taken from the
            # datastore at its end.
            self._log = None
            lines.append(str(error))
        return lines

    def _read(self, log: JobLog, stream: str) -> list[str]:
        """Lines of the step that were not read before."""
        lines = log.read(stream, is_last=self.is_over)
        # A line of the runner counts as well: the output can be read, and the step printed nothing.
        self.has_printed = self.has_printed or bool(lines)
        return self._told.rest(lines)

    @property
    def _is_told(self) -> bool:
        return self.manifest not in {None, NOTHING}

    @property
    def _late_readings(self) -> int:
        """How often to read on: lines reach CloudWatch after Batch has reported the end.

        The last one tells a digest. A runner that failed, or an earlier version, may have told none.
        """
        if not self.is_over or self._is_told or self.job is None:
            return 0
        if self.job["status"] == "SUCCEEDED":
            return _LATE_READINGS
        return 0 if self.has_printed and self.manifest != NOTHING else 1


def follow(
    job_id: str,
    board: JobBoard,
    news: JobNews,
    line: Callable[[str], None],
    cancel: threading.Event,
    seconds: float = math.inf,
) -> None:
    """Wait in this thread until the job has ended or the time is up.

    Args:
        job_id: the job.
        board: the shared cache of job states; it includes the job while this waits.
        news: the news about the job.
        line: receives each line.
        cancel: when set, this returns early and leaves the job as it is.
        seconds: how long to wait at most.

    Raises:
        ComputeUnavailable: Batch did not answer for five minutes.
    """
    end = time.monotonic() + seconds
    with board.watched(job_id):
        while True:
            for text in news.lines():
                line(text)
            if news.is_over or time.monotonic() >= end or cancel.wait(news.pause):
                return
