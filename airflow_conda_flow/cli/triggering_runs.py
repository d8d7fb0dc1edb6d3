"""Runs that ``--trigger`` names, as the events of their ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.errors import InvalidPathspec, ObjectNotFound
from airflow_conda_flow.flow.trigger_events import finished_name
from airflow_conda_flow.records.names import task_id
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.task_record import TaskRecord

_RUN_PARTS = 2  # flow and run


def trigger_events(pathspecs: Iterable[str], catalogue: RunCatalogue) -> list[dict[str, Any]] | None:
    """Events of the given runs' ends, newest first; None without runs.

    Raises:
        InvalidPathspec: a text is not the pathspec of a run.
        ObjectNotFound: there is no such run, or it has not finished.
    """
    events = [_event(pathspec, catalogue) for pathspec in pathspecs]
    return sorted(events, key=lambda each: str(each["timestamp"]), reverse=True) or None


def _event(pathspec: str, catalogue: RunCatalogue) -> dict[str, Any]:
    parts = pathspec.split("/")
    if len(parts) != _RUN_PARTS or not all(parts):
        raise InvalidPathspec(f"--trigger {pathspec}: write FLOW/RUN_ID.")
    run = catalogue.run(*parts)
    if run is None:
        raise ObjectNotFound(f"--trigger {pathspec}: there is no such run in {catalogue.describe()}.")
    end = _end_of(run, catalogue)
    if end is None or not end.is_done:
        raise ObjectNotFound(f"--trigger {pathspec}: the run has not finished.")
    project = run.current
    prefix = f"{project['project_name']}.{project['branch_name']}" if "project_name" in project else ""
    return {
        "name": finished_name(run.flow, prefix),
        "id": end.task.pathspec,
        "timestamp": end.finished,
        "type": "run",
    }


def _end_of(run: RunRecord, catalogue: RunCatalogue) -> TaskRecord | None:
    (found,) = catalogue.tasks(
        run.flow, run.run_id, run.graph.end, [task_id(run.graph.end, ())], run.first_attempt
    )
    return found
