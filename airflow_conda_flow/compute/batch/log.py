"""Reader of a job's output in CloudWatch, while the job runs."""

from __future__ import annotations

import threading
import time
from typing import Any

from airflow_conda_flow.compute.batch.errors import MISSING_LOG, THROTTLED, reporting
from airflow_conda_flow.datastore.s3_errors import answer_code

# Most pages of one reading while a job runs; CloudWatch puts up to 1 MB into a page. Without a limit, a job
# that prints a lot would take all turns of the shared pace from the others. The last reading has no limit,
# because nobody reads what it leaves out; it ends after so many empty pages in a row.
_PAGES = 20
# Seconds for which the last reading asks again while CloudWatch throttles, which it does for as long as other
# readers of the account ask too much: seconds. Without an end, a task could wait for ever.
_PATIENCE = 60.0
_PAUSE = 1.0


class Pace:
    """Rate limit that all threads share.

    CloudWatch allows 25 requests for log events per second in an account, from all processes together. The
    default of 10 leaves the rest to others: a triggerer, more workers.

    Args:
        rate: turns per second.
    """

    def __init__(self, rate: float = 10.0) -> None:
        self._space = 1.0 / rate
        self._mutex = threading.Lock()
        self._next = 0.0

    def take(self, *, wait: bool) -> bool:
        """Take a turn and return True; without ``wait``, return False if no turn is free yet."""
        with self._mutex:
            now = time.monotonic()
            delay = self._next - now
            if delay > 0 and not wait:
                return False
            self._next = max(now, self._next) + self._space
        time.sleep(max(0.0, delay))
        return True


class JobLog:
    """Log of one job; returns each line once.

    Args:
        client: boto3 client for ``logs``.
        group: the log group.
        pace: rate limit, shared by all readers.
        token: position at which an earlier reader stopped; None for the beginning.

    Attributes:
        token: CloudWatch's token for the next page; None before the first one.
    """

    def __init__(self, client: Any, group: str, pace: Pace, token: str | None = None) -> None:
        self._client = client
        self._group = group
        self._pace = pace
        self.token = token

    def read(self, stream: str, *, is_last: bool = False) -> list[str]:
        """New lines since the last reading; none while the stream does not exist, or CloudWatch throttles.

        Args:
            stream: the log stream, as ``describe_jobs`` names it.
            is_last: True to read to the end of the stream: to wait for turns, to read on after an empty page,
                and to ask again for a minute while CloudWatch throttles. A line says so if that was in vain.

        Raises:
            ComputeUnavailable: the log cannot be read.
        """
        lines: list[str] = []
        give_up = time.monotonic() + _PATIENCE
        pages = 0  # read while the job runs, or empty ones in a row of the last reading
        while pages < _PAGES and self._pace.take(wait=is_last):
            before = self.token
            events = self._page(stream)
            if events is None:
                if not is_last:
                    break
                if time.monotonic() > give_up:
                    lines.append(f"CloudWatch is busy; more is in the log stream {stream} of {self._group}.")
                    break
                time.sleep(_PAUSE)
                continue
            lines += [str(event["message"]).rstrip("\r\n") for event in events]
            # CloudWatch repeats the token at the end of the stream. An empty page alone is not the end:
            # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
            if self.token == before or not (events or is_last):
                break
            pages = 0 if is_last and events else pages + 1
        return lines

    def _page(self, stream: str) -> list[dict[str, Any]] | None:
        """Events of the next page, none if there is no stream; None if CloudWatch throttles."""
        position: dict[str, Any] = {"nextToken": self.token} if self.token else {"startFromHead": True}
        with reporting(f"read the log stream {stream} of the group {self._group}"):
            try:
                answer = self._client.get_log_events(
                    logGroupName=self._group, logStreamName=stream, **position
                )
            except self._client.exceptions.ClientError as error:
                if answer_code(error) in THROTTLED:
                    return None
                if answer_code(error) in MISSING_LOG:
                    return []
                raise
        self.token = answer["nextForwardToken"]
        return list(answer["events"])
