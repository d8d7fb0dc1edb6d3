"""Access of the triggerer to jobs: one connection and one board for each region."""

from __future__ import annotations

from typing import Any

from airflow_conda_flow.airflow.operators.batch_connection import connect
from airflow_conda_flow.compute.batch.jobs import BatchRegion
from airflow_conda_flow.compute.batch.watched_job import WatchedJob
from airflow_conda_flow.compute.stored_lines import stored_lines
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.runner.task_request import TaskRequest

_regions: dict[tuple[str | None, str | None], BatchRegion] = {}
"""Regions by Airflow connection and region name, shared by all triggers of this process."""


def watched_job(state: dict[str, Any], datastore: Datastore, request: TaskRequest) -> WatchedJob:
    """Job that the triggerer follows.

    Args:
        state: ``JobTask.hand_over()``, with ``conn_id`` and ``region``.
        datastore: has the lines of a job whose output cannot be read from CloudWatch.
        request: the attempt that the job runs.
    """
    key = (state["conn_id"], state["region"])
    if key not in _regions:
        _regions[key] = connect(*key)
    return WatchedJob(
        _regions[key],
        state["job_id"],
        state["log_group"],
        state["interval"],
        lambda: stored_lines(datastore.storage, request.name),
        state["log_token"],
        has_printed=state["has_printed"],
        manifest=state.get("manifest"),  # workers of earlier versions hand none over
    )
