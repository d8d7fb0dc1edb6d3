"""A job that Airflow's triggerer waits for, beside many others, without a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack

from airflow_conda_flow.compute.batch.jobs import BatchRegion
from airflow_conda_flow.compute.remote_attempt import End
from airflow_conda_flow.errors import ComputeUnavailable


class WatchedJob:
    """The ``Watched`` of AWS Batch.

    Args:
        region: the job's region.
        job_id: the job.
        log_group: CloudWatch group of the job's output; None if another log driver takes it.
        interval: longest pause between two looks at the job, in seconds.
        stored: returns the lines that the attempt has stored, each with its stream, for a job whose output
            cannot be read from CloudWatch.
        log_token: ``JobNews.log_token`` of whoever watched before.
        has_printed: ``JobNews.has_printed`` likewise.
        manifest: ``JobNews.manifest`` likewise.
    """

    def __init__(
        self,
        region: BatchRegion,
        job_id: str,
        log_group: str | None,
        interval: float,
        stored: Callable[[], Iterable[tuple[str, str]]],
        log_token: str | None = None,
        *,
        has_printed: bool = False,
        manifest: str | None = None,
    ) -> None:
        self._region = region
        self._job_id = job_id
        self._stored = stored
        self._news = region.news(
            job_id, log_group, interval, log_token, has_printed=has_printed, manifest=manifest
        )
        self._counted = ExitStack()
        self._is_counted = False

    @property
    def is_over(self) -> bool:
        """True if the job had ended at the last look."""
        return self._news.is_over

    @property
    def pause(self) -> float:
        """Seconds until the next look."""
        return self._news.pause

    def on_news(self, call: Callable[[], object]) -> None:
        """Nothing: Batch does not tell of changes."""

    def lines(self) -> list[str]:
        """Look at the job, and return the new lines of its output, and lines of ours about its status.

        Raises:
            ComputeUnavailable: Batch did not answer for five minutes.
        """
        if not self._is_counted:
            self._counted.enter_context(self._region.board.watched(self._job_id))
            self._is_counted = True
        found = self._news.lines()
        if self.is_over and not self._news.has_printed:
            found += [line for _, line in self._stored()]
        return found

    def end(self) -> End:
        """How the job ended."""
        return self._news.end()

    def remove(self) -> str | None:
        """Terminate the job if it still runs; returns why it is left, if Batch refuses or does not answer."""
        try:
            if not self.is_over:
                self._region.service.terminate(self._job_id)
        except ComputeUnavailable as error:
            return str(error)
        return None

    def close(self) -> None:
        """Stop looking at the job, until the next look. Idempotent."""
        self._counted.close()
        self._is_counted = False
