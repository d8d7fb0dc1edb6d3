"""Compute that runs attempts as jobs of AWS Batch, submitted by this process."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_conda_flow.compute.batch.board import OVER, JobBoard
from airflow_conda_flow.compute.batch.failure import is_ending
from airflow_conda_flow.compute.batch.follow import ENDING_SECONDS, JobNews, follow
from airflow_conda_flow.compute.batch.job import attempt_of_job
from airflow_conda_flow.compute.batch.log import JobLog, Pace
from airflow_conda_flow.compute.batch.plan import StepPlan, job_arguments, plan_step, step_region
from airflow_conda_flow.compute.batch.service import BatchService, Job
from airflow_conda_flow.compute.compute import RunContext
from airflow_conda_flow.compute.remote_attempt import End, run_to_end
from airflow_conda_flow.compute.stored_lines import stored_lines
from airflow_conda_flow.errors import ComputeUnavailable, SettingError
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
        manifest: str | None = None,
    ) -> JobNews:
        """News about a job.

        Pass ``log_token``, ``has_printed`` and ``manifest`` from an earlier ``JobNews`` to resume where it
        stopped.
        """
        log = JobLog(self.logs, log_group, self.pace, log_token) if log_group else None
        return JobNews(job_id, self.board, log, interval, has_printed=has_printed, manifest=manifest)


class JobTask:
    """A job that runs an attempt: the ``RemoteTask`` of AWS Batch.

    Args:
        region: the job's region.
        submit: submits the job, and returns its id.
        log_group: CloudWatch group of the job's output; None if another log driver takes it.
        interval: longest pause between two looks at the job, in seconds.
        emit: receives the lines of the log, and messages about the job.
        stored: returns the lines that the attempt has stored, each with its stream. They are passed on if
            CloudWatch had none: another log driver is set, or the permission to read is missing.
        job_id: the job, if it exists already.
    """

    def __init__(
        self,
        region: BatchRegion,
        submit: Callable[[], str],
        log_group: str | None,
        interval: float,
        emit: Callable[[str], None],
        stored: Callable[[], Iterable[tuple[str, str]]],
        job_id: str | None = None,
    ) -> None:
        self.job_id = job_id or ""
        self._region = region
        self._submit = submit
        self._log_group = log_group
        self._interval = interval
        self._emit = emit
        self._stored = stored
        self._made: JobNews | None = None
        self._ended = False

    @property
    def title(self) -> str:
        """Name of the job for people; empty before it was submitted."""
        return f"job {self.job_id}" if self.job_id else ""

    @property
    def is_over(self) -> bool:
        """True if the job had ended at the last look."""
        return self._made is not None and self._made.is_over

    def start(self) -> None:
        """Submit the job."""
        self.job_id = self._submit()

    def follow(self, cancel: threading.Event, is_done: Callable[[], bool], seconds: float = math.inf) -> None:
        """Pass the log on and wait, until the job has ended or the time is up."""
        del is_done  # Batch reports the end of a job in the same answer as its status
        follow(self.job_id, self._region.board, self._news, self._emit, cancel, seconds)
        if self.is_over and not self._news.has_printed and not self._ended:
            for _, line in self._stored():
                self._emit(line)
        self._ended = self.is_over

    def end(self) -> End:
        """How the job ended."""
        return self._news.end()

    def remove(self, *, wait: bool) -> None:
        """Terminate the job if it still runs; with ``wait``, pass its last lines on for up to 35 seconds."""
        if not self.job_id or self.is_over:
            return
        try:
            self._region.service.terminate(self.job_id)
            if wait:
                self.follow(threading.Event(), lambda: False, ENDING_SECONDS)
        except ComputeUnavailable as error:
            self._emit(str(error))

    def hand_over(self) -> dict[str, Any]:
        """The job's id, and the position of its log."""
        return {
            "job_id": self.job_id,
            "log_group": self._log_group,
            "interval": self._interval,
            "log_token": self._news.log_token,
            "has_printed": self._news.has_printed,
            "manifest": self._news.manifest,
        }

    @property
    def _news(self) -> JobNews:
        if self._made is None:
            self._made = self._region.news(self.job_id, self._log_group, self._interval)
        return self._made


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
        root = self._context.settings.datastore_root

        def submit() -> str:
            arn = region.service.register(plan.definition, self._storage)
            return region.service.submit(**job_arguments(plan, arn, request, root))

        job = JobTask(
            region,
            submit,
            plan.log_group,
            self._interval,
            lambda line: output("stdout", line),
            lambda: stored_lines(self._storage, request.name),
        )
        return run_to_end(job, self._storage, request, on_start, cancel)


def _plans(context: RunContext) -> Plans:
    regions: dict[str | None, BatchRegion] = {}
    plans: dict[str, tuple[BatchRegion, StepPlan]] = {}
    for step, decorators in context.run.decorators.items():
        if "batch" in decorators:
            name = step_region(decorators, context.settings)
            if name not in regions:
                regions[name] = connect_region(name)
            service = regions[name].service
            storage, runner = context.datastore.storage, context.run.runner
            plan = plan_step(step, decorators, context.settings, storage, service, runner)
            plans[step] = regions[name], plan
    return plans


def job_left(service: BatchService, queue: str, family: str, attempts: range) -> Job | None:
    """Job to wait for instead of submitting one; None if there is none.

    It is a job of the last attempt in any status, whose worker was lost right after it submitted the job,
    else one of an earlier attempt that has not ended.

    Args:
        service: AWS Batch in the region of the queue.
        queue: the job queue.
        family: ``job_family`` of the task.
        attempts: the attempts that count.

    Raises:
        ComputeUnavailable: Batch cannot be reached, or refused a request.
    """
    found = [job for job in service.find(queue, family) if attempt_of_job(job["jobName"]) in attempts]
    own = [job for job in found if attempt_of_job(job["jobName"]) == attempts[-1]]
    if own:
        return max(own, key=lambda job: int(job["createdAt"]))
    running = [job["jobId"] for job in found if job["status"] not in OVER]
    jobs = [job for job in service.describe(running).values() if not is_ending(job)]
    return max(jobs, key=lambda job: attempt_of_job(job["jobName"]), default=None)


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
