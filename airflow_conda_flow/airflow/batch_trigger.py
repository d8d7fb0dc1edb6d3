"""Waits in Airflow's triggerer for a job of AWS Batch, and logs there what it prints.

It needs no aiobotocore: all jobs that one triggerer waits for share a look, and that is taken in a thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_conda_flow.airflow.batch_connection import connect
from airflow_conda_flow.compute.batch import BatchRegion
from airflow_conda_flow.compute.batch_failure import job_summary
from airflow_conda_flow.errors import ComputeUnavailable

_ARGUMENTS = (
    "job_id",
    "aws_conn_id",
    "region",
    "log_group",
    "interval",
    "end_at",
    "log_token",
    "has_printed",
    "not_before",
)
_regions: dict[tuple[str | None, str | None], BatchRegion] = {}
"""By connection and region: what the triggers of this process share."""


class BatchStepTrigger(BaseTrigger):
    """Fires when a job has ended, or when its time is up.

    Args:
        job_id: the job.
        aws_conn_id: the Airflow connection; None for boto3's default chain.
        region: the region of the job; None for the connection's.
        log_group: the CloudWatch group of its output; None where it goes elsewhere.
        interval: seconds between two looks.
        end_at: when its time is up, in seconds since 1970; None for never.
        log_token: how far its output was read.
        has_printed: whether a line of it came.
        not_before: when it may fire, in seconds since 1970.
    """

    def __init__(
        self,
        *,
        job_id: str,
        aws_conn_id: str | None,
        region: str | None,
        log_group: str | None,
        interval: float,
        end_at: float | None,
        log_token: str | None,
        has_printed: bool,
        not_before: float,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.job_id = job_id
        self.aws_conn_id = aws_conn_id
        self.region = region
        self.log_group = log_group
        self.interval = interval
        self.end_at = end_at
        self.log_token = log_token
        self.has_printed = has_printed
        self.not_before = not_before

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of the class, and its arguments."""
        return f"{__name__}.{type(self).__name__}", {name: getattr(self, name) for name in _ARGUMENTS}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event: the job at its end, that its time is up, or that Batch cannot be asked."""
        try:
            event = await self._wait()
        except ComputeUnavailable as error:
            event = {"job_id": self.job_id, "problem": str(error)}
        await asyncio.sleep(max(0.0, self.not_before - time.time()))
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def _wait(self) -> dict[str, Any]:
        region = await self._region()
        news = region.news(
            self.job_id, self.log_group, self.interval, self.log_token, has_printed=self.has_printed
        )
        with region.board.watched(self.job_id):
            while True:
                for line in await asyncio.to_thread(news.lines):
                    self.log.info("%s", line)
                if news.job is not None and news.is_over:
                    return {
                        "job_id": self.job_id,
                        "job": job_summary(news.job),
                        "has_printed": news.has_printed,
                    }
                if self.end_at is not None and time.time() > self.end_at:
                    return {"job_id": self.job_id, "timed_out": True}
                await asyncio.sleep(news.pause)

    async def _region(self) -> BatchRegion:
        key = (self.aws_conn_id, self.region)
        if key not in _regions:
            # Airflow's connections are asked for in the one thread that it keeps for that.
            _regions[key] = await sync_to_async(connect)(*key)
        return _regions[key]

    async def on_kill(self) -> None:
        """End the job: a person marked or cleared the task."""
        region = await self._region()
        await asyncio.to_thread(region.service.terminate, self.job_id)
