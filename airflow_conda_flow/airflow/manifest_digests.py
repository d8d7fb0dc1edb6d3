"""Digests of task manifests as XComs: what a finished task wrote, told through Airflow's database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import NotAsPrepared
from airflow_conda_flow.records.graph import FlowGraph
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.task_record import TaskRecord
from airflow_conda_flow.runner.record_reader import RecordReader
from airflow_conda_flow.runner.task_inputs import gather_inputs

KEY = "conda_flow_manifests"
"""Key of the XCom: the sha256 of each manifest by task id. The nodes of a ``num_parallel`` share one."""


def manifest_digests(records: Iterable[TaskRecord]) -> dict[str, str]:
    """Value of the XCom for these records of finished tasks of one step."""
    return {record.task_id: record.sha256 for record in records}


def compared_inputs(
    ti: Any, storage: Storage, run: RunRecord, step: str, indices: tuple[int, ...]
) -> RecordReader | None:
    """Reader of the manifests that a task's inputs come from, once they were compared with the XComs.

    A task that has told nothing is not compared: an earlier version ran it, or a person marked it.

    Args:
        ti: Airflow's task instance.
        storage: the datastore's.
        run: the run's record.
        step: the task's step.
        indices: its index path.

    Returns:
        a reader that has read them and nothing else; None if a task before this one has not finished.

    Raises:
        NotAsPrepared: a manifest is not the one that its task wrote.
    """
    reader = RecordReader(storage, run.flow, run.run_id)
    try:
        gather_inputs(run, step, indices, reader)
    except LookupError:  # the attempt itself says which one is missing
        return None
    compare(ti, storage, run, step, reader.read)
    return reader


def compare(ti: Any, storage: Storage, run: RunRecord, step: str, found: Iterable[TaskRecord]) -> None:
    """Compare the manifests that a task of a step has read with the XComs.

    Raises:
        NotAsPrepared: a manifest is not the one that its task wrote.
    """
    by_step: dict[str, list[TaskRecord]] = {}
    for record in found:
        by_step.setdefault(record.step, []).append(record)
    for name, records in by_step.items():
        told = _told(ti, name, is_beside=_foreaches(run.graph, name) == _foreaches(run.graph, step))
        for record in records:
            expected = told.get(record.task_id)
            if expected is not None and expected != record.sha256:
                raise NotAsPrepared(
                    f"{layout.task_manifest(record.name)} in the datastore {storage.url} is not what its "
                    f"task in this run wrote: its sha256 is {record.sha256}, expected {expected}.",
                    "Nothing was run. Find out who wrote it (docs/security.md), and clear the task "
                    f"{name!r}: it writes its manifest again.",
                )


def _told(ti: Any, step: str, *, is_beside: bool) -> dict[str, str]:
    """Digests by task id that the tasks of a step have told.

    ``is_beside`` says that Airflow maps both steps over the same splits, so that one value is enough.
    """
    index = getattr(ti, "map_index", None)
    if is_beside and index is not None and index >= 0:
        values: Sequence[Any] = [ti.xcom_pull(task_ids=step, key=KEY, map_indexes=index)]
    else:
        values = ti.xcom_pull(task_ids=[step], key=KEY) or ()
    return {task: sha256 for value in values if isinstance(value, dict) for task, sha256 in value.items()}


def _foreaches(graph: FlowGraph, step: str) -> list[str]:
    """Foreach steps around a step, outermost first."""
    return [name for name in graph.steps[step].split_parents if graph.steps[name].kind == "foreach"]
