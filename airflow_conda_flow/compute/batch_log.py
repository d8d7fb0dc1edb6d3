"""Reader of a job's output in CloudWatch, while the job runs."""

from __future__ import annotations

import threading
import time
from typing import Any

from airflow_conda_flow.compute.batch_errors import MISSING_LOG, THROTTLED, reporting
from airflow_conda_flow.datastore.s3_errors import answer_code

# Most pages of one reading; CloudWatch puts up to 1 MB into a page. Without a limit, a job that prints a lot
# would take all turns of the shared pace from the others.
_PAGES = 20


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
            is_last: True to wait for a turn, and to read on after an empty page.

        Raises:
            ComputeUnavailable: the log cannot be read.
        """
        lines: list[str] = []
        for _ in range(_PAGES):
            if not self._pace.take(wait=is_last):
                break
            before = self.token
            events = self._page(stream)
            lines += [str(event["message"]).rstrip("\r\n") for event in events]
            # CloudWatch repeats the token at the end of the stream. An empty page alone is not the end:
            # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
            if self.token == before or not (events or is_last):
                break
        return lines

    def _page(self, stream: str) -> list[dict[str, Any]]:
        position: dict[str, Any] = {"nextToken": self.token} if self.token else {"startFromHead": True}
        with reporting(f"read the log stream {stream} of the group {self._group}"):
            try:
                answer = self._client.get_log_events(
                    logGroupName=self._group, logStreamName=stream, **position
                )
            except self._client.exceptions.ClientError as error:
                if answer_code(error) in MISSING_LOG | THROTTLED:
                    return []
                raise
        self.token = answer["nextForwardToken"]
        return list(answer["events"])
