"""One attempt as a job of AWS Batch: everything that is to be known before it is submitted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_conda_flow.compute.batch_attributes import batch_attributes
from airflow_conda_flow.compute.batch_command import container_start
from airflow_conda_flow.compute.batch_job import (
    Definition,
    job_definition,
    job_name,
    job_overrides,
    job_parameters,
    log_group,
)
from airflow_conda_flow.compute.batch_service import BatchService
from airflow_conda_flow.compute.runner_environ import runner_environ
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.timeout_decorator import timeout_seconds
from airflow_conda_flow.runner.task_request import TaskRequest
from airflow_conda_flow.settings import Settings

_TIMEOUT_SLACK = 900
"""Seconds beyond @timeout after which Batch itself ends a job. The runner, whose clock starts with the step
and not with the fetching of its environment, ends it in time; this is for a runner that hangs."""


@dataclass(frozen=True)
class StepPlan:
    """What the jobs of one step have in common.

    Attributes:
        queue: the job queue.
        definition: registered before the first job.
        tags: the jobs' tags.
        log_group: the CloudWatch group of their output; None where it goes elsewhere.
        seconds: after which Batch ends a job; None for never.
    """

    queue: str
    definition: Definition
    tags: Mapping[str, str]
    log_group: str | None
    seconds: int | None


def step_region(decorators: Mapping[str, Any], settings: Settings) -> str | None:
    """The region of a step's queue; None for the connection's, or that of boto3's default chain."""
    region: str | None = batch_attributes(decorators, settings)["region"]
    return region


def plan_step(
    step: str, decorators: Mapping[str, Any], settings: Settings, storage: Storage, service: BatchService
) -> StepPlan:
    """What the jobs of a step have in common.

    Raises:
        SettingError: something is missing, or the queue cannot run what the step asks for.
        ComputeUnavailable: Batch cannot be asked about the queue.
    """
    attributes = batch_attributes(decorators, settings)
    queue = attributes["queue"]
    if not queue:
        raise SettingError(
            f"Step {step!r} has @batch but no job queue. Write @batch(queue=...), or set "
            "CONDA_FLOW_BATCH_QUEUE."
        )
    start = container_start(attributes["image"], storage, settings.remote_platform)
    environ = {
        "AWS_DEFAULT_REGION": service.region,
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
    """The arguments of ``submit_job`` for an attempt."""
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
