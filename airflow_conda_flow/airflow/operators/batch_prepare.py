"""Preparation of a run's steps on AWS Batch, done once before the first of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_conda_flow.airflow.operators.batch_connection import connect
from airflow_conda_flow.compute.batch.jobs import BatchRegion
from airflow_conda_flow.compute.batch.plan import plan_step, step_region
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.settings.loading import Settings


def prepare_batch(decorators: Mapping[str, Mapping[str, Any]], settings: Settings, storage: Storage) -> None:
    """Register the job definitions of all steps with ``@batch``; store the runner if an image may lack it.

    Idempotent: definitions and runner are stored under names made from their content.

    Args:
        decorators: decorators of the steps with ``@batch``, by step name.
        settings: the settings in force.
        storage: the datastore's storage.

    Raises:
        SettingError: a step cannot run as a job: a value is missing, or its queue cannot provide it.
        ComputeUnavailable: Batch cannot be reached, or refused a request.
        DatastoreError: the datastore cannot be read or written.
    """
    regions: dict[str | None, BatchRegion] = {}
    for step, each in decorators.items():
        name = step_region(each, settings)
        if name not in regions:
            regions[name] = connect(settings.aws_conn_id or None, name)
        service = regions[name].service
        service.register(plan_step(step, each, settings, storage, service).definition, storage)
