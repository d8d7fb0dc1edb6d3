"""Run and task manifests: small JSON documents. Each is written last, so it is the commit.

``records/`` defines their contents. A reader refuses a version newer than its own.

Reading a task costs one request, or two if it was retried: if a later attempt counts, the manifest of
attempt 0 names it in ``superseded_by``. A later attempt therefore writes that mark as its last act, and an
attempt 0 that ends after it does not overwrite the mark.
"""

from __future__ import annotations

import contextlib
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.errors import DamagedDocument, DatastoreError, NotAsPrepared, NotInDatastore
from airflow_conda_flow.records.document import (
    MOST_BYTES,
    damaged,
    other_than,
    read_document,
    stored_bytes,
)
from airflow_conda_flow.records.names import full_id, whole_number
from airflow_conda_flow.records.run_record import RunRecord, wrong_run_manifest
from airflow_conda_flow.records.task_record import (
    DONE,
    LOST,
    TASK_VERSION,
    TaskRecord,
    current_task_manifest,
    wrong_task_manifest,
)

from . import layout
from .digest import not_as_prepared
from .keeping import keeper

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_conda_flow.records.names import AttemptName, TaskName

    from .storage import Storage

_SUPERSEDED_BY = "superseded_by"
_RUN_ADVICE = "Start the run again; or put back a copy of the file, if there is one."
_TASK_ADVICE = "Delete it and resume the run, or clear the task in Airflow: the task then runs again."
_READERS = 16
"""Manifests that are requested at a time; more gain nothing against one S3 endpoint."""


def write_run_manifest(storage: Storage, run: RunRecord, *, only_if_new: bool = False) -> bool:
    """Write a run's manifest; True if it was stored.

    With ``only_if_new`` the manifest of an existing run stays, and False is returned.
    """
    key = layout.run_manifest(run.flow, run.run_id)
    data = stored_bytes(run.document)
    keeper(storage).settle()
    if only_if_new:
        return storage.write_if_absent(key, data)
    storage.write_bytes(key, data)
    return True


def read_run_manifest(storage: Storage, flow: str, run_id: str, sha256: str | None = None) -> RunRecord:
    """Record of a run.

    Args:
        storage: the datastore's.
        flow: the flow's name.
        run_id: the run's id.
        sha256: the ``RunRecord.sha256`` of the run as it was prepared; None compares nothing.

    Raises:
        NotInDatastore: there is no such run; the message names it.
        NotAsPrepared: neither the manifest nor a revision of it has that digest.
        DamagedDocument: the manifest is not the one that was written, or that of another run.
        DatastoreError: a newer version of this package wrote it.
    """
    key = layout.run_manifest(flow, run_id)
    try:
        data = storage.read_bytes(key, MOST_BYTES)
    except NotInDatastore as error:
        raise NotInDatastore(
            f"There is no run {run_id!r} of the flow {flow} in the datastore {storage.url}."
        ) from error
    except DamagedDocument as error:  # too large to be read
        if sha256 is not None:
            raise NotAsPrepared(
                f"{error.fault} It is not what this run was prepared with.", _RUN_ADVICE
            ) from error
        raise
    if sha256 is not None and (got := hashlib.sha256(data).hexdigest()) != sha256:
        kept = layout.run_revision(flow, run_id, sha256)
        try:
            data = storage.read_bytes(kept, MOST_BYTES)
        except NotInDatastore:
            raise not_as_prepared(_name(storage, key), sha256, got) from None
        key = kept
        if (got := hashlib.sha256(data).hexdigest()) != sha256:
            raise not_as_prepared(_name(storage, key), sha256, got)
    name = _name(storage, key)
    document: Any = read_document(data, name, _RUN_ADVICE, wrong=wrong_run_manifest)
    if fault := other_than(document, {"flow": flow, "run_id": run_id}):
        raise damaged(name, fault, _RUN_ADVICE)
    return RunRecord(document)


def keep_revision(storage: Storage, run: RunRecord) -> RunRecord:
    """Store a record of a run beside its manifest, where ``read_run_manifest`` finds it by its digest.

    Tasks that are cleared at the same time make the same revision, each with its own time.

    Returns:
        the record that says the same and is there already, else this one.
    """
    for name in storage.list_names(layout.run_folder(run.flow, run.run_id)):
        sha256 = layout.revision_of(layout.name_of(name))
        # One that is damaged, or that somebody else has written, is not like this one.
        with contextlib.suppress(DatastoreError):
            if sha256 and run.is_like(found := read_run_manifest(storage, run.flow, run.run_id, sha256)):
                return found
    keeper(storage).settle()
    storage.write_bytes(layout.run_revision(run.flow, run.run_id, run.sha256), stored_bytes(run.document))
    return run


def write_task_manifest(storage: Storage, record: TaskRecord) -> None:
    """Commit one attempt. Everything that the record refers to must be stored before.

    A manifest of the same attempt is overwritten, unless a later attempt has superseded it. A damaged one is
    replaced too; if a later attempt is done, the new one says so.
    """
    key = layout.task_manifest(record.name)
    data = stored_bytes(record.document)
    keeper(storage).settle()
    # The attempt's own manifest before the mark: the mark must never lead to a missing manifest.
    if record.attempt > 0:
        storage.write_bytes(key, data)
        if record.is_done:
            _supersede(storage, record.name)
    elif not storage.write_if_absent(key, data):
        try:
            if _SUPERSEDED_BY not in _read(storage, record.name):
                storage.write_bytes(key, data)
        except DamagedDocument:
            if later := _last_done(storage, record.task):
                data = stored_bytes({**record.document, _SUPERSEDED_BY: later})
            storage.write_bytes(key, data)


def _supersede(storage: Storage, name: AttemptName) -> None:
    """Mark attempt 0 as superseded by a later attempt.

    If attempt 0 has no manifest, or a damaged one, write one with status ``lost`` that holds the mark.
    """
    task = name.task
    key = layout.task_manifest(task.attempt(0))
    number = name.number
    try:
        first = _read(storage, task.attempt(0))
    except (NotInDatastore, DamagedDocument) as error:
        if isinstance(error, DamagedDocument):  # it may have held the mark of a later attempt
            number = max(number, _last_done(storage, task))
        first = {
            "version": TASK_VERSION,
            "flow": task.flow,
            "run_id": task.run_id,
            "step": task.step,
            "task_id": task.task_id,
            "attempt": 0,
            "status": LOST,
        }
    # An older attempt that ends late must not replace the mark of a newer one.
    if first.get(_SUPERSEDED_BY, 0) < number:
        storage.write_bytes(key, stored_bytes({**first, _SUPERSEDED_BY: number}))


def _last_done(storage: Storage, task: TaskName) -> int:
    """Number of the last attempt after attempt 0 that is done, as far as can be read; 0 if there is none."""
    for number in _attempt_numbers(storage, task)[::-1]:
        with contextlib.suppress(DamagedDocument):
            if number > 0 and _read(storage, task.attempt(number))["status"] == DONE:
                return number
    return 0


def read_task_manifest(storage: Storage, task: TaskName) -> TaskRecord | None:
    """Record of the latest attempt that is done, None if there is none. Costs one or two reads."""
    try:
        record = _record(storage, task.attempt(0))
    except NotInDatastore:
        return None
    if later := record.superseded_by:
        return _record(storage, task.attempt(later))
    return record if record.is_done else None


def read_attempt(storage: Storage, name: AttemptName) -> TaskRecord | None:
    """Record of one attempt, done or failed; None if it has none."""
    try:
        record = _record(storage, name)
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
    records = [_record(storage, task.attempt(each)) for each in _attempt_numbers(storage, task)]
    return [record for record in records if record.status != LOST]


def _attempt_numbers(storage: Storage, task: TaskName) -> list[int]:
    """Numbers of the attempts that have a manifest, sorted."""
    suffix = layout.TASK_MANIFEST_SUFFIX
    names = (name for name in storage.list_names(layout.task_folder(task)) if name.endswith(suffix))
    numbers = (whole_number(name.removesuffix(suffix)) for name in names)
    return sorted(number for number in numbers if number is not None)


def _read(storage: Storage, name: AttemptName) -> Any:
    """Manifest of an attempt."""
    return _record(storage, name).document


def _record(storage: Storage, name: AttemptName) -> TaskRecord:
    key = layout.task_manifest(name)
    data = storage.read_bytes(key, MOST_BYTES)
    document: Any = current_task_manifest(
        read_document(data, _name(storage, key), _TASK_ADVICE, TASK_VERSION, wrong_task_manifest)
    )
    task = name.task
    expected = {"flow": task.flow, "run_id": task.run_id, "step": task.step, "task_id": task.task_id}
    if fault := other_than(document, {**expected, "attempt": name.number}):
        raise damaged(_name(storage, key), fault, _TASK_ADVICE)
    return TaskRecord(document, hashlib.sha256(data).hexdigest())


def dead_end(storage: Storage, record: TaskRecord) -> DamagedDocument:
    """Error for a manifest whose task is done, but leads to no step although its step does."""
    key = layout.task_manifest(record.name)
    return damaged(_name(storage, key), "it is done, but leads to no step", _TASK_ADVICE)


def _name(storage: Storage, key: str) -> str:
    return f"{key} in the datastore {storage.url}"


def list_flows(storage: Storage) -> list[str]:
    """Names of the flows that have runs, sorted."""
    return [layout.name_of(name) for name in storage.list_names(f"{layout.FLOWS}/")]


def list_runs(storage: Storage, flow: str) -> list[str]:
    """Ids of the flow's runs, sorted as text."""
    return [layout.name_of(name) for name in storage.list_names(layout.flow_folder(flow))]


def list_steps(storage: Storage, flow: str, run_id: str) -> list[str]:
    """Names of the run's steps that have tasks, sorted."""
    names = storage.list_names(layout.run_folder(flow, run_id))
    # Steps are identifiers; the names of other keys in the folder have a dot.
    return [step for step in map(layout.name_of, names) if step.isidentifier()]


def list_tasks(storage: Storage, flow: str, run_id: str, step: str) -> list[str]:
    """Ids of the step's tasks, sorted as text."""
    names = storage.list_names(layout.step_folder(flow, run_id, step))
    return [full_id(step, layout.name_of(name)) for name in names]
