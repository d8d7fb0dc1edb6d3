"""Operator for a step with ``@batch``: one job of AWS Batch per attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.amazon.aws.operators.batch import BatchOperator

from airflow_conda_flow.airflow.operators.batch_connection import connect
from airflow_conda_flow.airflow.operators.remote import RemoteStepTask
from airflow_conda_flow.airflow.operators.tries import Opened, Try
from airflow_conda_flow.airflow.sdk import AirflowException
from airflow_conda_flow.compute.batch.errors import translated
from airflow_conda_flow.compute.batch.job import attempt_of_job, job_family
from airflow_conda_flow.compute.batch.jobs import CLIENT_CONFIG, BatchRegion, JobTask, job_left, poll_interval
from airflow_conda_flow.compute.batch.plan import StepPlan, job_arguments, plan_step, step_region
from airflow_conda_flow.compute.batch.service import Job
from airflow_conda_flow.compute.stored_lines import stored_lines

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_conda_flow.settings.loading import Settings


class BatchStepOperator(RemoteStepTask, BatchOperator):
    """Operator that runs one step of a flow as a job of AWS Batch."""

    # BatchOperator's own renderers name fields that are no templates here.
    template_fields_renderers: ClassVar[dict[str, str]] = {}
    ui_color = "#f5e9dc"
    watch = "airflow_conda_flow.airflow.triggers.batch:watched_job"

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
        self._shared: tuple[str | None, tuple[BatchRegion, StepPlan]] | None = None

    def connect(self, settings: Settings) -> None:
        """Apply the settings in force to the operator's connection to AWS."""
        self.aws_conn_id = settings.aws_conn_id or None
        self.region_name = step_region(self.decorators, settings)

    def share(self, opened: Opened) -> None:
        """Connect to AWS once: one look at Batch is for the jobs of all splits."""
        self.connect(opened.settings)
        _ = self.hook.client
        self._shared = opened.run.runner, self._region_and_plan(opened, opened.run.runner)

    def region_and_plan(self, tried: Try) -> tuple[BatchRegion, StepPlan]:
        """Region of the step's queue, and the plan of its jobs."""
        runner = tried.run.runner
        if self._shared is not None and self._shared[0] == runner:
            return self._shared[1]
        return self._region_and_plan(tried, runner)

    def _region_and_plan(self, opened: Opened | Try, runner: str | None) -> tuple[BatchRegion, StepPlan]:
        region = connect(self.aws_conn_id, self.region_name)
        storage, settings = opened.datastore.storage, opened.settings
        return region, plan_step(self.step, self.decorators, settings, storage, region.service, runner)

    def task_left(self, context: Context, tried: Try) -> tuple[JobTask, int] | None:
        """Job of an earlier try that has not ended, or one of this very attempt; None without one."""
        del context
        region, plan = self.region_and_plan(tried)
        family = job_family(tried.request, tried.settings.datastore_root)
        job = job_left(region.service, plan.queue, family, range(tried.first, tried.request.attempt + 1))
        if job is None:
            return None
        self.job_id = job["jobId"]
        return self._task(region, plan, tried, job), attempt_of_job(job["jobName"])

    def new_task(self, context: Context, tried: Try) -> JobTask:
        """Job for the attempt of this try."""
        region, plan = self.region_and_plan(tried)
        return self._task(region, plan, tried, None, context)

    def watch_arguments(self, tried: Try) -> dict[str, Any]:
        """Connection of the job."""
        del tried
        return {"conn_id": self.aws_conn_id, "region": self.region_name}

    def _task(
        self,
        region: BatchRegion,
        plan: StepPlan,
        tried: Try,
        job: Job | None,
        context: Context | None = None,
    ) -> JobTask:
        request = tried.request if job is None else tried.at(attempt_of_job(job["jobName"])).request
        return JobTask(
            region,
            lambda: self._submit(context, region, plan, tried),
            plan.log_group,
            poll_interval(tried.settings),
            lambda line: self.log.info("%s", line),
            lambda: stored_lines(tried.datastore.storage, request.name),
            None if job is None else job["jobId"],
        )

    def _submit(self, context: Any, region: BatchRegion, plan: StepPlan, tried: Try) -> str:
        """Submit a job through ``BatchOperator.submit_job``, which also stores the links to AWS's console."""
        arn = region.service.register(plan.definition, tried.datastore.storage)
        arguments = job_arguments(plan, arn, tried.request, tried.settings.datastore_root)
        self.job_name = arguments["jobName"]
        self.job_queue = arguments["jobQueue"]
        self.job_definition = arguments["jobDefinition"]
        self.container_overrides = arguments["containerOverrides"]
        self.parameters = arguments["parameters"]
        self.tags = arguments.get("tags", {})
        self.submit_job_timeout = plan.seconds
        try:
            self.submit_job(context)
        except AirflowException as error:
            # BatchOperator raises an AirflowException whose only argument is botocore's error.
            cause = error.args[0] if error.args else None
            doing = f"submit a job to the queue {self.job_queue!r}"
            ours = translated(cause, doing) if isinstance(cause, BaseException) else None
            raise (ours or error) from None
        if hasattr(self, "_persist_links"):  # older providers store the links when they submit the job
            self._persist_links(context)
        return str(self.job_id)
