"""Plan of a step's jobs on AWS Batch: everything that must be known before one is submitted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_conda_flow.compute.batch.attributes import batch_attributes
from airflow_conda_flow.compute.batch.command import container_start
from airflow_conda_flow.compute.batch.job import (
    Definition,
    job_definition,
    job_name,
    job_overrides,
    job_parameters,
    log_group,
)
from airflow_conda_flow.compute.batch.service import BatchService
from airflow_conda_flow.compute.runner_environ import runner_environ
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.decorators.timeout import timeout_seconds
from airflow_conda_flow.runner.task_request import TaskRequest
from airflow_conda_flow.settings.loading import Settings

_TIMEOUT_SLACK = 900
"""Seconds that Batch gives a job beyond ``@timeout``.

Normally the runner ends the step in time; Batch's limit is for a runner that hangs. Batch counts from the
start of the container and the runner from the start of the step, so the slack must cover fetching the
environment.
"""


@dataclass(frozen=True)
class StepPlan:
    """Values shared by all jobs of one step.

    Attributes:
        queue: the job queue.
        definition: the job definition, to be registered before the first job is submitted.
        tags: the jobs' tags.
        log_group: CloudWatch group of their output; None if another log driver takes it.
        seconds: time limit after which Batch ends a job; None for no limit.
    """

    queue: str
    definition: Definition
    tags: Mapping[str, str]
    log_group: str | None
    seconds: int | None


def step_region(decorators: Mapping[str, Any], settings: Settings) -> str | None:
    """Region of a step's queue; None for that of the Airflow connection or of boto3's default chain.

    Raises:
        SettingError: a setting is not a valid value of its attribute.
    """
    region: str | None = batch_attributes(decorators, settings)["region"]
    return region


def plan_step(
    step: str,
    decorators: Mapping[str, Any],
    settings: Settings,
    storage: Storage,
    service: BatchService,
    runner: str | None = None,
) -> StepPlan:
    """Plan of a step's jobs; stores the runner in the datastore if the step's image may lack it.

    Args:
        step: the step's name.
        decorators: its decorators: attributes by decorator name.
        settings: the settings in force.
        storage: the datastore's storage.
        service: Batch in the region of the step's queue.
        runner: SHA-256 of the runner's archive that the run was prepared with, as its record says.

    Raises:
        SettingError: a required value is missing, or the queue cannot provide what the step asks for.
        ComputeUnavailable: Batch does not answer the questions about the queue.
        DatastoreError: the datastore cannot be read or written.
    """
    attributes = batch_attributes(decorators, settings)
    queue = attributes["queue"]
    if not queue:
        raise SettingError(
            f"Step {step!r} has @batch but no job queue. Write @batch(queue=...), or set "
            "CONDA_FLOW_BATCH_QUEUE."
        )
    start = container_start(
        attributes["image"], storage, settings.remote_platform, runner, settings.cache_dir
    )
    environ = {
        "AWS_DEFAULT_REGION": service.region,  # if the storage has no region, which then takes precedence
        **runner_environ(settings, storage),
        **start.environ,
    }
    definition = job_definition(
        step,
        attributes,
        environ,
        start.command,
        fargate=service.is_on_fargate(queue),
        platform=settings.remote_platform,
    )
    limit = timeout_seconds(decorators)
    seconds = None if limit is None else math.ceil(limit) + _TIMEOUT_SLACK
    return StepPlan(queue, definition, attributes["aws_batch_tags"] or {}, log_group(definition), seconds)


def job_arguments(
    plan: StepPlan, definition_arn: str, request: TaskRequest, datastore_root: str
) -> dict[str, Any]:
    """Arguments of boto3's ``submit_job`` for an attempt.

    Raises:
        SettingError: the request is longer than Batch accepts.
    """
    arguments = {
        "jobName": job_name(request, datastore_root),
        "jobQueue": plan.queue,
        "jobDefinition": definition_arn,
        "containerOverrides": job_overrides(request),
        "parameters": job_parameters(request),
    }
    if plan.seconds is not None:
        arguments["timeout"] = {"attemptDurationSeconds": plan.seconds}
    if plan.tags:
        arguments["tags"] = dict(plan.tags)
    return arguments
