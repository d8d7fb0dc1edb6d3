"""``batch``: list or end a flow's unfinished jobs, such as those that a killed run left behind."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial

from airflow_conda_flow.cli.parser import FlowArgumentParser
from airflow_conda_flow.cli.unfinished import Unfinished, add_unfinished_actions
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.settings.loading import Settings

NAME = "batch"
HELP = "Jobs of the flow that have not ended."
COMMON: tuple[str, ...] = ()
_ENDED = ("SUCCEEDED", "FAILED")
# Parameters of a job, in the order of an attempt's name.
_PARTS = ("flow", "run_id", "step", "task_id", "attempt")


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add the subcommands."""
    del definition
    add_unfinished_actions(parser, "jobs", _jobs)


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Report a missing subcommand; argparse does so first, as a subcommand is required."""
    del definition
    parser: FlowArgumentParser = arguments.command_parser
    parser.error("write list or kill")


def _jobs(settings: Settings, definition: FlowDefinition) -> Iterator[Unfinished]:
    """Unfinished jobs of the flow, in the queues that the settings and its decorators name.

    Raises:
        SettingError: no queue is named.
        ComputeUnavailable: Batch cannot be reached.
    """
    # Imported late: these load boto3, and no other command needs them.
    from airflow_conda_flow.compute.batch.attributes import batch_attributes  # noqa: PLC0415
    from airflow_conda_flow.compute.batch.job import name_part  # noqa: PLC0415
    from airflow_conda_flow.compute.batch.jobs import connect_region  # noqa: PLC0415

    of_steps = (batch_attributes(each, settings) for each in ({}, *definition.decorators.values()))
    places = {(each["region"], each["queue"]) for each in of_steps if each["queue"]}
    if not places:
        raise SettingError("No job queue is named. Write @batch(queue=...), or set CONDA_FLOW_BATCH_QUEUE.")
    for region, queue in sorted(places, key=str):
        service = connect_region(region).service
        going_on = [
            job["jobId"]
            for job in service.find(queue, f"{name_part(definition.name)}-")
            if job.get("status") not in _ENDED
        ]
        for job_id, job in service.describe(going_on).items():
            # Job names are shortened and hold no odd characters, so those of two flows may begin alike.
            # The parameters have the exact names.
            parts = [job.get("parameters", {}).get(name, "") for name in _PARTS]
            if parts[0] == definition.name and job["status"] not in _ENDED:
                yield Unfinished(
                    run_id=parts[1],
                    task="/".join(parts),
                    name=f"{queue}/{job_id}",
                    state=job["status"],
                    end=partial(service.terminate, job_id),
                )
