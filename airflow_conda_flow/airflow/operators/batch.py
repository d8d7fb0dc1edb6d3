"""Operator for a step with ``@batch``: one job of AWS Batch per try."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.amazon.aws.operators.batch import BatchOperator
from airflow.sdk.exceptions import AirflowException, AirflowTaskTimeout

from airflow_conda_flow.airflow.configuration import airflow_settings
from airflow_conda_flow.airflow.failures import as_airflow_error
from airflow_conda_flow.airflow.operators.batch_connection import connect
from airflow_conda_flow.airflow.operators.deferral import defers, earliest_return, worker_seconds
from airflow_conda_flow.airflow.operators.step import StepTask
from airflow_conda_flow.airflow.triggers.batch import BatchStepTrigger
from airflow_conda_flow.compute.batch.board import OVER
from airflow_conda_flow.compute.batch.errors import translated
from airflow_conda_flow.compute.batch.failure import ENDED, is_ending
from airflow_conda_flow.compute.batch.follow import JobNews, follow
from airflow_conda_flow.compute.batch.job import attempt_of_job, job_family
from airflow_conda_flow.compute.batch.jobs import CLIENT_CONFIG, BatchRegion, conclude_job, poll_interval
from airflow_conda_flow.compute.batch.plan import StepPlan, job_arguments, plan_step, step_region
from airflow_conda_flow.compute.batch.service import Job
from airflow_conda_flow.compute.stored_lines import stored_lines
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import CondaFlowError
from airflow_conda_flow.runner.task_request import TaskRequest
from airflow_conda_flow.settings.loading import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context


class BatchStepOperator(StepTask, BatchOperator):
    """Operator that runs one step of a flow as a job of AWS Batch."""

    # BatchOperator's own renderers name fields that are no templates here.
    template_fields_renderers: ClassVar[dict[str, str]] = {}
    ui_color = "#f5e9dc"

    def __init__(self, **kwargs: Any) -> None:
        # BatchOperator stores its links to AWS's console in XCom, but only with do_xcom_push. A step that is
        # not a foreach returns None, which Airflow does not push. _submit fills in the empty names.
        super().__init__(
            job_name=kwargs["step"],
            job_definition="",
            job_queue="",
            deferrable=False,
            botocore_config=CLIENT_CONFIG,
            **{**kwargs, "do_xcom_push": True},
        )

    def execute(self, context: Context) -> list[list[int]] | None:  # type: ignore[override]
        """Run the step's next attempt as a job, or wait for the job that runs it already."""
        return self._run(context, can_reattach=True)

    def execute_complete(  # type: ignore[override]
        self, context: Context, event: dict[str, Any] | None = None
    ) -> list[list[int]] | None:
        """Conclude the attempt after the triggerer has waited for its job.

        Raises:
            AirflowException: the step failed, or the triggerer lost contact with Batch.
            AirflowTaskTimeout: the task's execution timeout has passed; the job is terminated first.
        """
        event = event or {}
        self.job_id = event["job_id"]
        if "problem" in event:
            raise AirflowException(event["problem"])
        try:
            work = self._work(context)
            if event.get("timed_out"):
                work.region.service.terminate(self.job_id)
                raise AirflowTaskTimeout(f"Batch job {self.job_id} was ended: the task's time is up.")
            return self._conclude(context, work, event["job"], has_printed=event["has_printed"])
        except CondaFlowError as error:
            raise as_airflow_error(error) from None

    def on_kill(self) -> None:
        """Terminate the job."""
        if self._cancel is not None:
            self._cancel.set()
        if self.job_id:
            self.hook.client.terminate_job(jobId=self.job_id, reason=ENDED)

    def _run(self, context: Context, *, can_reattach: bool) -> list[list[int]] | None:
        try:
            work = self._work(context)
            job = work.running_job() if can_reattach else None
            if job is None:
                self._submit(context, work)
            else:
                self.job_id = job["jobId"]
                self.log.info("Batch job %s runs this step already; waiting for it.", self.job_id)
            return self._follow(context, work)
        except CondaFlowError as error:
            raise as_airflow_error(error) from None

    def _work(self, context: Context) -> _Work:
        """Attempt to run, with its plan and its region, from the current settings."""
        request, datastore, _ = self.open(context)
        settings = airflow_settings()
        self.aws_conn_id = settings.aws_conn_id or None
        self.region_name = step_region(self.decorators, settings)
        region = connect(self.aws_conn_id, self.region_name)
        plan = plan_step(self.step, self.decorators, settings, datastore.storage, region.service)
        return _Work(request, datastore.storage, settings, region, plan)

    def _submit(self, context: Context, work: _Work) -> None:
        """Submit a job through ``BatchOperator.submit_job``, which also stores the links to AWS's console."""
        arguments = work.arguments()
        self.job_name = arguments["jobName"]
        self.job_queue = arguments["jobQueue"]
        self.job_definition = arguments["jobDefinition"]
        self.container_overrides = arguments["containerOverrides"]
        self.parameters = arguments["parameters"]
        self.tags = arguments.get("tags", {})
        self.submit_job_timeout = work.plan.seconds
        try:
            self.submit_job(context)
        except AirflowException as error:
            # BatchOperator raises an AirflowException whose only argument is botocore's error.
            cause = error.args[0] if error.args else None
            doing = f"submit a job to the queue {self.job_queue!r}"
            ours = translated(cause, doing) if isinstance(cause, BaseException) else None
            raise (ours or error) from None
        self._persist_links(context)

    def _defer(self, context: Context, work: _Work, news: JobNews) -> None:
        end_at = None
        if self.execution_timeout is not None:
            started = context["ti"].start_date
            begun = time.time() if started is None else started.timestamp()
            end_at = begun + self.execution_timeout.total_seconds()
        self.defer(
            trigger=BatchStepTrigger(
                job_id=str(self.job_id),
                aws_conn_id=self.aws_conn_id,
                region=self.region_name,
                log_group=work.plan.log_group,
                interval=poll_interval(work.settings),
                end_at=end_at,
                log_token=news.log_token,
                has_printed=news.has_printed,
                not_before=earliest_return(),
            ),
            method_name="execute_complete",
        )

    def _follow(self, context: Context, work: _Work) -> list[list[int]] | None:
        # Not created in __init__: Airflow copies operators, and an Event has a lock, which cannot be copied.
        cancel = self._cancel = threading.Event()
        region, job_id = work.region, str(self.job_id)
        news = region.news(job_id, work.plan.log_group, poll_interval(work.settings))

        def wait(seconds: float) -> Job | None:
            show = partial(self.log.info, "%s")
            return follow(job_id, region.service, region.board, news, show, cancel, seconds)

        job = wait(worker_seconds(work.settings))
        if not news.is_over and not cancel.is_set():
            if defers(work.settings):
                self._defer(context, work, news)
            job = wait(math.inf)
        return self._conclude(context, work, job, has_printed=news.has_printed)

    def _conclude(
        self, context: Context, work: _Work, job: Job | None, *, has_printed: bool
    ) -> list[list[int]] | None:
        job_id = str(self.job_id)
        request = work.request
        if job is not None:
            request = replace(request, attempt=attempt_of_job(job["jobName"]))
        result = conclude_job(work.storage, request, job, job_id)
        if not has_printed:
            for _, line in stored_lines(work.storage, request.name):
                self.log.info("%s", line)
        self._persist_cloudwatch_link(context)
        cancelled = self._cancel is not None and self._cancel.is_set()
        # The job may be that of an earlier try whose worker was lost. Its failure uses up that try, not
        # this one.
        if not result.ok and not cancelled and request.attempt < work.request.attempt:
            self.log.info("Batch job %s, of an earlier try, failed; this try has one of its own.", job_id)
            return self._run(context, can_reattach=False)
        return self.conclude(context, result)


class _Work:
    """One attempt, with everything that its job is made from."""

    def __init__(
        self, request: TaskRequest, storage: Storage, settings: Settings, region: BatchRegion, plan: StepPlan
    ) -> None:
        self.request = request
        self.storage = storage
        self.settings = settings
        self.region = region
        self.plan = plan

    def arguments(self) -> dict[str, Any]:
        """Arguments of boto3's ``submit_job``; registers the job definition if needed."""
        arn = self.region.service.register(self.plan.definition, self.storage)
        return job_arguments(self.plan, arn, self.request, self.settings.datastore_root)

    def running_job(self) -> Job | None:
        """Job to wait for instead of submitting one; None if there is none.

        It is a job of this attempt in any status, else one of an earlier attempt that has not ended: its
        worker was lost.
        """
        family = job_family(self.request, self.settings.datastore_root)
        found = self.region.service.find(self.plan.queue, family)
        own = [job for job in found if attempt_of_job(job["jobName"]) == self.request.attempt]
        if own:
            return max(own, key=lambda job: int(job["createdAt"]))
        running = [job["jobId"] for job in found if job["status"] not in OVER]
        jobs = [job for job in self.region.service.describe(running).values() if not is_ending(job)]
        return max(jobs, key=lambda job: attempt_of_job(job["jobName"]), default=None)
