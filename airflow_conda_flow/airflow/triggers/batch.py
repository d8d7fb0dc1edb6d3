"""Trigger that waits in Airflow's triggerer for a job of AWS Batch, and logs the job's output there.

It needs no aiobotocore: all jobs of one triggerer share one request for their states, which is sent in a
thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_conda_flow.airflow.operators.batch_connection import connect
from airflow_conda_flow.compute.batch.failure import job_summary
from airflow_conda_flow.compute.batch.jobs import BatchRegion
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
"""Regions by Airflow connection and region name, shared by all triggers of this process."""


class BatchStepTrigger(BaseTrigger):
    """Trigger that fires when a job has ended, or when the task's time limit has passed.

    Args:
        job_id: the job.
        aws_conn_id: the Airflow connection; None for boto3's default chain.
        region: the region of the job; None for the connection's.
        log_group: CloudWatch group of the job's output; None if another log driver takes it.
        interval: longest pause between two looks at the job, in seconds.
        end_at: the task's time limit, in seconds since 1970; None for no limit.
        log_token: ``JobNews.log_token`` of the worker, to resume the log there.
        has_printed: ``JobNews.has_printed`` of the worker.
        not_before: earliest time at which the trigger may fire, in seconds since 1970.
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
        """Path of the class, and the arguments that make the trigger again."""
        return f"{__name__}.{type(self).__name__}", {name: getattr(self, name) for name in _ARGUMENTS}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: the job has ended, its time limit has passed, or Batch cannot be reached."""
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
            # Airflow reads connections synchronously and expects that in the one thread of sync_to_async.
            _regions[key] = await sync_to_async(connect)(*key)
        return _regions[key]

    async def on_kill(self) -> None:
        """Terminate the job: a person has marked or cleared the task."""
        region = await self._region()
        await asyncio.to_thread(region.service.terminate, self.job_id)
