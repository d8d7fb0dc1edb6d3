"""Run and task manifests: small JSON documents. Each is written last, so it is the commit.

``records/`` defines their contents. A reader refuses a version newer than its own.

Reading a task costs one request, or two if it was retried: if a later attempt counts, the manifest of
attempt 0 names it in ``superseded_by``. A later attempt therefore writes that mark as its last act, and an
attempt 0 that ends after it does not overwrite the mark.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.errors import CorruptData, DatastoreError, NotInDatastore
from airflow_conda_flow.records.document import VERSION, canonical_json
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.task_record import LOST, TaskRecord

from . import layout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_conda_flow.records.names import AttemptName, TaskName

    from .storage import Storage

_SUPERSEDED_BY = "superseded_by"
_READERS = 16
"""Manifests that are requested at a time; more gain nothing against one S3 endpoint."""


def write_run_manifest(storage: Storage, run: RunRecord, *, only_if_new: bool = False) -> bool:
    """Write a run's manifest; True if it was stored.

    With ``only_if_new`` the manifest of an existing run stays, and False is returned.
    """
    key = layout.run_manifest(run.flow, run.run_id)
    data = canonical_json(run.document)
    if only_if_new:
        return storage.write_if_absent(key, data)
    storage.write_bytes(key, data)
    return True


def read_run_manifest(storage: Storage, flow: str, run_id: str) -> RunRecord:
    """Record of a run.

    Raises:
        NotInDatastore: there is no such run; the message names it.
        CorruptData: the manifest cannot be decoded.
        DatastoreError: a newer version of this package wrote it.
    """
    try:
        return RunRecord(_read(storage, layout.run_manifest(flow, run_id)))
    except NotInDatastore as error:
        raise NotInDatastore(
            f"There is no run {run_id!r} of the flow {flow} in the datastore {storage.url}."
        ) from error


def write_task_manifest(storage: Storage, record: TaskRecord) -> None:
    """Commit one attempt. Everything that the record refers to must be stored before.

    A manifest of the same attempt is overwritten, unless a later attempt has superseded it.
    """
    key = layout.task_manifest(record.name)
    data = canonical_json(record.document)
    # The attempt's own manifest before the mark: the mark must never lead to a missing manifest.
    if record.attempt > 0:
        storage.write_bytes(key, data)
        if record.is_done:
            _supersede(storage, record.name)
    elif not storage.write_if_absent(key, data) and _SUPERSEDED_BY not in _read(storage, key):
        storage.write_bytes(key, data)


def _supersede(storage: Storage, name: AttemptName) -> None:
    """Mark attempt 0 as superseded by a later attempt.

    If attempt 0 has no manifest, write one with status ``lost`` that holds the mark.
    """
    task = name.task
    key = layout.task_manifest(task.attempt(0))
    try:
        first = _read(storage, key)
    except NotInDatastore:
        first = {
            "version": VERSION,
            "flow": task.flow,
            "run_id": task.run_id,
            "step": task.step,
            "task_id": task.task_id,
            "attempt": 0,
            "status": LOST,
        }
    # An older attempt that ends late must not replace the mark of a newer one.
    if first.get(_SUPERSEDED_BY, 0) < name.number:
        storage.write_bytes(key, canonical_json({**first, _SUPERSEDED_BY: name.number}))


def read_task_manifest(storage: Storage, task: TaskName) -> TaskRecord | None:
    """Record of the latest attempt that is done, None if there is none. Costs one or two reads."""
    try:
        first = _read(storage, layout.task_manifest(task.attempt(0)))
    except NotInDatastore:
        return None
    if later := first.get(_SUPERSEDED_BY):
        return TaskRecord(_read(storage, layout.task_manifest(task.attempt(later))))
    record = TaskRecord(first)
    return record if record.is_done else None


def read_attempt(storage: Storage, name: AttemptName) -> TaskRecord | None:
    """Record of one attempt, done or failed; None if it has none."""
    try:
        record = TaskRecord(_read(storage, layout.task_manifest(name)))
    except NotInDatastore:
        return None
    return None if record.status == LOST else record


def read_task_manifests(storage: Storage, tasks: Iterable[TaskName]) -> list[TaskRecord | None]:
    """Results of ``read_task_manifest`` for all tasks, in order; read in parallel from S3."""

    def read(task: TaskName) -> TaskRecord | None:
        return read_task_manifest(storage, task)

    tasks = list(tasks)
    if storage.kind == "local" or len(tasks) < 2:  # noqa: PLR2004  nothing to overlap
        return [read(task) for task in tasks]
    with ThreadPoolExecutor(min(_READERS, len(tasks))) as pool:
        return list(pool.map(read, tasks))


def list_attempts(storage: Storage, task: TaskName) -> list[TaskRecord]:
    """Records of all attempts of a task, done or failed, sorted by attempt."""
    suffix = layout.TASK_MANIFEST_SUFFIX
    names = (name for name in storage.list_names(layout.task_folder(task)) if name.endswith(suffix))
    attempts = sorted(int(stem) for name in names if (stem := name.removesuffix(suffix)).isdigit())
    records = [TaskRecord(_read(storage, layout.task_manifest(task.attempt(each)))) for each in attempts]
    return [record for record in records if record.status != LOST]


def _read(storage: Storage, key: str) -> Any:
    data = storage.read_bytes(key)
    try:
        manifest = json.loads(data.decode("utf-8", "surrogatepass"))
        version = int(manifest["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptData(
            f"{key} in the datastore {storage.url} is no manifest: {error}. "
            "Delete it and run again what wrote it."
        ) from error
    if version > VERSION:
        raise DatastoreError(
            f"{key} in the datastore {storage.url} has version {version}; this installation reads "
            f"up to version {VERSION}. Upgrade airflow-conda-flow here."
        )
    return manifest


def list_flows(storage: Storage) -> list[str]:
    """Names of the flows that have runs, sorted."""
    return [layout.name_of(name) for name in storage.list_names(f"{layout.FLOWS}/")]


def list_runs(storage: Storage, flow: str) -> list[str]:
    """Ids of the flow's runs, sorted as text."""
    return [layout.name_of(name) for name in storage.list_names(layout.flow_folder(flow))]


def list_steps(storage: Storage, flow: str, run_id: str) -> list[str]:
    """Names of the run's steps that have tasks, sorted."""
    names = storage.list_names(layout.run_folder(flow, run_id))
    return [layout.name_of(name) for name in names if name != layout.RUN_MANIFEST_NAME]


def list_tasks(storage: Storage, flow: str, run_id: str, step: str) -> list[str]:
    """Ids of the step's tasks, sorted as text."""
    names = storage.list_names(layout.step_folder(flow, run_id, step))
    return [layout.name_of(name) for name in names]
