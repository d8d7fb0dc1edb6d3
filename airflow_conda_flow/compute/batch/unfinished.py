"""Finds the unfinished jobs of a flow, such as those that a killed run left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from airflow_conda_flow.compute.batch.attributes import batch_attributes
from airflow_conda_flow.compute.batch.job import name_part
from airflow_conda_flow.compute.batch.jobs import connect_region
from airflow_conda_flow.compute.unfinished import Unfinished
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.settings.loading import Settings

_ENDED = ("SUCCEEDED", "FAILED")
# Parameters of a job, in the order of an attempt's name.
_PARTS = ("flow", "run_id", "step", "task_id", "attempt")


def unfinished_jobs(
    settings: Settings, flow: str, decorators: Mapping[str, Mapping[str, Any]]
) -> Iterator[Unfinished]:
    """Unfinished jobs of the flow, in the queues that the settings and its decorators name.

    Raises:
        SettingError: no queue is named.
        ComputeUnavailable: Batch cannot be reached.
    """
    of_steps = (batch_attributes(each, settings) for each in ({}, *decorators.values()))
    places = {(each["region"], each["queue"]) for each in of_steps if each["queue"]}
    if not places:
        raise SettingError("No job queue is named. Write @batch(queue=...), or set CONDA_FLOW_BATCH_QUEUE.")
    for region, queue in sorted(places, key=str):
        service = connect_region(region).service
        going_on = [
            job["jobId"]
            for job in service.find(queue, f"{name_part(flow)}-")
            if job.get("status") not in _ENDED
        ]
        for job_id, job in service.describe(going_on).items():
            # Job names are shortened and hold no odd characters, so those of two flows may begin alike.
            # The parameters have the exact names.
            parts = [job.get("parameters", {}).get(name, "") for name in _PARTS]
            if parts[0] == flow and job["status"] not in _ENDED:
                yield Unfinished(
                    run_id=parts[1],
                    task="/".join(parts),
                    name=f"{queue}/{job_id}",
                    state=job["status"],
                    end=partial(service.terminate, job_id),
                )
