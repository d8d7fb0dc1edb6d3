"""What is done once for a run's steps on AWS Batch, before the first of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_conda_flow.airflow.batch_connection import connect
from airflow_conda_flow.compute.batch import BatchRegion
from airflow_conda_flow.compute.batch_plan import plan_step, step_region
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.settings import Settings


def prepare_batch(decorators: Mapping[str, Mapping[str, Any]], settings: Settings, storage: Storage) -> None:
    """Register the definitions of the steps with ``@batch``, and store the runner where they need it.

    Args:
        decorators: of every step, by name.
        settings: the settings in force.
        storage: the datastore's.

    Raises:
        SettingError: a step cannot be a job as it is: something is missing, or does not fit its queue.
        ComputeUnavailable: Batch cannot be asked.
    """
    regions: dict[str | None, BatchRegion] = {}
    for step, each in decorators.items():
        if "batch" in each:
            name = step_region(each, settings)
            if name not in regions:
                regions[name] = connect(settings.aws_conn_id or None, name)
            service = regions[name].service
            service.register(plan_step(step, each, settings, storage, service).definition, storage)
