"""What a job prints, read from CloudWatch while it runs."""

from __future__ import annotations

import threading
import time
from typing import Any

from airflow_conda_flow.compute.batch_errors import MISSING_LOG, THROTTLED, reporting
from airflow_conda_flow.datastore.s3_errors import answer_code

_PAGES = 20


class Pace:
    """So many turns a second for all threads together.

    CloudWatch takes 25 readings a second from an account, whoever reads.

    Args:
        rate: turns a second.
    """

    def __init__(self, rate: float = 10.0) -> None:
        self._space = 1.0 / rate
        self._mutex = threading.Lock()
        self._next = 0.0

    def take(self, *, wait: bool) -> bool:
        """Take a turn; without ``wait`` False where it is not time yet."""
        with self._mutex:
            now = time.monotonic()
            delay = self._next - now
            if delay > 0 and not wait:
                return False
            self._next = max(now, self._next) + self._space
        time.sleep(max(0.0, delay))
        return True


class JobLog:
    """The lines of one job, each given once.

    Args:
        client: boto3's for ``logs``.
        group: the log group.
        pace: shared by all readers.
        token: where another reader left off; None for the beginning.

    Attributes:
        token: where this one is.
    """

    def __init__(self, client: Any, group: str, pace: Pace, token: str | None = None) -> None:
        self._client = client
        self._group = group
        self._pace = pace
        self.token = token

    def read(self, stream: str, *, is_last: bool = False) -> list[str]:
        """The lines that came since the last time; none yet where CloudWatch does not know the stream.

        Args:
            stream: the log stream, as ``describe_jobs`` names it.
            is_last: whether to wait for a turn, and to ask again where CloudWatch is busy.

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
            # The same token again is the end; a page may be empty before that.
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
