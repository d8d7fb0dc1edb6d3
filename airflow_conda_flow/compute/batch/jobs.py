"""Compute that runs attempts as jobs of AWS Batch, submitted by this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_conda_flow.compute.batch.board import JobBoard
from airflow_conda_flow.compute.batch.failure import describe_failure, failure_reason
from airflow_conda_flow.compute.batch.follow import JobNews, follow
from airflow_conda_flow.compute.batch.log import JobLog, Pace
from airflow_conda_flow.compute.batch.plan import StepPlan, job_arguments, plan_step, step_region
from airflow_conda_flow.compute.batch.service import BatchService, Job
from airflow_conda_flow.compute.compute import RunContext
from airflow_conda_flow.compute.remote_result import remote_result
from airflow_conda_flow.compute.stored_lines import stored_lines
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.runner.attempt import Output
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult
from airflow_conda_flow.settings.loading import Settings

# "adaptive" slows the client down when AWS throttles it. A run with many tasks sends many requests, so
# throttling is expected. The timeouts keep a dead connection from blocking a task's thread for ever.
CLIENT_CONFIG: dict[str, Any] = {
    "retries": {"mode": "adaptive", "max_attempts": 5},
    "connect_timeout": 10,
    "read_timeout": 60,
}
"""Configuration of boto3's clients for Batch and CloudWatch, as keywords of ``botocore.config.Config``."""


@dataclass(frozen=True)
class BatchRegion:
    """Clients and state shared by everything that waits for jobs in one AWS region.

    Attributes:
        service: AWS Batch in the region.
        board: the last known state of the jobs that are being waited for.
        logs: boto3 client for CloudWatch Logs in the region.
        pace: rate limit for reading logs in the region.
    """

    service: BatchService
    board: JobBoard
    logs: Any
    pace: Pace

    @classmethod
    def of_clients(cls, batch: Any, logs: Any) -> BatchRegion:
        """Region made from boto3's clients for ``batch`` and ``logs``."""
        service = BatchService(batch)
        return cls(service, JobBoard(service), logs, Pace())

    def news(
        self,
        job_id: str,
        log_group: str | None,
        interval: float,
        log_token: str | None = None,
        *,
        has_printed: bool = False,
    ) -> JobNews:
        """News about a job.

        Pass ``log_token`` and ``has_printed`` from an earlier ``JobNews`` to resume where it stopped.
        """
        log = JobLog(self.logs, log_group, self.pace, log_token) if log_group else None
        return JobNews(job_id, self.board, log, interval, has_printed=has_printed)


Plans = Mapping[str, tuple[BatchRegion, StepPlan]]
"""By step name: the region of its queue, and the plan that its jobs share."""


class Batch:
    """Compute that runs attempts as jobs of AWS Batch.

    Args:
        context: the run.
        plans: region and plan of each step with ``@batch``; if None, derived from the decorators and
            settings.

    Raises:
        SettingError: a step cannot run as a job: a value is missing, or the queue cannot provide it.
        ComputeUnavailable: Batch cannot be reached, or refused a request.
    """

    def __init__(self, context: RunContext, plans: Plans | None = None) -> None:
        self._context = context
        self._storage = context.datastore.storage
        self._interval = poll_interval(context.settings)
        self._plans = _plans(context) if plans is None else plans

    def run(
        self,
        request: TaskRequest,
        output: Output,
        on_start: Callable[[str], None],
        cancel: threading.Event,
    ) -> TaskResult:
        """Run one attempt to its end; see ``Compute.run``."""
        region, plan = self._plans[request.step]
        arn = region.service.register(plan.definition, self._storage)
        root = self._context.settings.datastore_root
        job_id = region.service.submit(**job_arguments(plan, arn, request, root))
        on_start(f"job {job_id}")
        news = region.news(job_id, plan.log_group, self._interval)
        job = follow(job_id, region.service, region.board, news, lambda text: output("stdout", text), cancel)
        # Nothing came from CloudWatch: another log driver is set, or the permission to read is missing.
        if not news.has_printed:
            for stream, line in stored_lines(self._storage, request.name):
                output(stream, line)
        return conclude_job(self._storage, request, job, job_id, cancelled=cancel.is_set())


def _plans(context: RunContext) -> Plans:
    regions: dict[str | None, BatchRegion] = {}
    plans: dict[str, tuple[BatchRegion, StepPlan]] = {}
    for step, decorators in context.run.decorators.items():
        if "batch" in decorators:
            name = step_region(decorators, context.settings)
            if name not in regions:
                regions[name] = connect_region(name)
            service = regions[name].service
            plan = plan_step(step, decorators, context.settings, context.datastore.storage, service)
            plans[step] = regions[name], plan
    return plans


def conclude_job(
    storage: Storage, request: TaskRequest, job: Job | None, job_id: str, *, cancelled: bool = False
) -> TaskResult:
    """Result of an attempt whose job has ended; an attempt without a manifest is committed as failed.

    Args:
        storage: the datastore's storage.
        request: the attempt.
        job: its job; None if Batch never listed it.
        job_id: the job's id.
        cancelled: True if the job was terminated on request.

    Raises:
        DatastoreError: the manifest cannot be read or written.
    """
    if cancelled:
        fate: str | None = f"Batch job {job_id} was ended with the run."
        otherwise = ""
    elif job is None:
        fate, otherwise = None, f"Batch does not know the job {job_id}."
    elif job["status"] == "SUCCEEDED":
        otherwise = f"Batch job {job_id} ended well but left no manifest: is its container our runner?"
        fate = None
    else:
        otherwise = describe_failure(job)
        fate = otherwise if failure_reason(job) else None
    result = remote_result(storage, request, fate, otherwise)
    # The step may have committed its outputs just before the job was terminated; then it is done.
    return replace(result, cancelled=cancelled and not result.ok)


def poll_interval(settings: Settings) -> float:
    """Seconds between two requests for the state of a job.

    Raises:
        SettingError: the setting is not a number above 0.
    """
    option = settings.texts["batch_poll_interval"]
    try:
        seconds = float(option.text)
    except ValueError:
        seconds = 0.0
    # Not "seconds <= 0": this form refuses "nan" too.
    if not seconds > 0:
        raise SettingError(f"{option.source} is {option.text!r}; write seconds above 0, such as 5.")
    return seconds


def connect_region(region: str | None) -> BatchRegion:
    """Clients for Batch and CloudWatch in a region; None stands for the region of boto3's default chain.

    Raises:
        ComputeUnavailable: boto3 finds no region or no usable configuration.
    """
    import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 - heavy

    from airflow_conda_flow.compute.batch.errors import reporting  # noqa: PLC0415 - beside boto3

    config = client_config()
    with reporting("connect"):
        session = boto3.session.Session(region_name=region)
        return BatchRegion.of_clients(
            session.client("batch", config=config), session.client("logs", config=config)
        )


def client_config() -> Any:
    """The configuration of boto3's clients for Batch and CloudWatch, a ``botocore.config.Config``."""
    from botocore.config import Config  # type: ignore[import-untyped]  # noqa: PLC0415 - heavy

    return Config(**CLIENT_CONFIG)
