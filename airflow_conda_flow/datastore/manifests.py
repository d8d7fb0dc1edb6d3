"""Run and task manifests: small JSON documents, written last, so that they are the commit.

The shapes are in docs/architecture.md. A reader refuses a newer version than its own.

Reading a task costs one request, two if it was retried: attempt 0's manifest names the attempt that
counts in ``superseded_by``, if that is a later one. So the last thing a later attempt does is to
put that mark, and an attempt 0 that ends late does not overwrite it.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.errors import CorruptData, DatastoreError, NotInDatastore

from . import layout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .storage import Storage

VERSION = 1
DONE = "done"
_LOST = "lost"  # attempt 0 left no manifest of its own; the mark of a later one stands in its place
_SUPERSEDED_BY = "superseded_by"
_READERS = 16

Manifest = dict[str, Any]


def canonical_json(value: object) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces: equal values give equal bytes.

    >>> canonical_json({"b": 1, "a": "é"}).decode()
    '{"a":"é","b":1}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def _parsed(storage: Storage, key: str, data: bytes) -> Manifest:
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
    return dict(manifest)


def _read(storage: Storage, key: str) -> Manifest:
    return _parsed(storage, key, storage.read_bytes(key))


def write_run_manifest(storage: Storage, manifest: Manifest, *, only_if_new: bool = False) -> bool:
    """Writes the run's manifest; True if it is this one that is stored now.

    With ``only_if_new`` a run of that id that is there already stays, and the answer is False.
    """
    key = layout.run_manifest(manifest["flow"], manifest["run_id"])
    data = canonical_json({"version": VERSION, **manifest})
    if only_if_new:
        return storage.write_if_absent(key, data)
    storage.write_bytes(key, data)
    return True


def read_run_manifest(storage: Storage, flow: str, run_id: str) -> Manifest:
    """The run's manifest; ``NotInDatastore`` names the run if there is none."""
    try:
        return _read(storage, layout.run_manifest(flow, run_id))
    except NotInDatastore as error:
        raise NotInDatastore(
            f"There is no run {run_id!r} of the flow {flow} in the datastore {storage.url}."
        ) from error


def write_task_manifest(storage: Storage, manifest: Manifest) -> None:
    """Commits one attempt. Everything that it refers to must be stored before."""
    key = _attempt_key(manifest, manifest["attempt"])
    data = canonical_json({"version": VERSION, **manifest})
    if manifest["attempt"] > 0:
        storage.write_bytes(key, data)
        if manifest["status"] == DONE:
            _supersede(storage, manifest)
    elif not storage.write_if_absent(key, data) and _SUPERSEDED_BY not in _read(storage, key):
        storage.write_bytes(key, data)


def _attempt_key(manifest: Manifest, attempt: int) -> str:
    return layout.task_manifest(
        manifest["flow"], manifest["run_id"], manifest["step"], manifest["task_id"], attempt
    )


def _supersede(storage: Storage, manifest: Manifest) -> None:
    key = _attempt_key(manifest, 0)
    try:
        first = _read(storage, key)
    except NotInDatastore:
        names = ("version", "flow", "run_id", "step", "task_id")
        first = {"version": VERSION, **{n: manifest[n] for n in names if n in manifest}}
        first.update(attempt=0, status=_LOST)
    if first.get(_SUPERSEDED_BY, 0) < manifest["attempt"]:
        storage.write_bytes(key, canonical_json({**first, _SUPERSEDED_BY: manifest["attempt"]}))


def read_task_manifest(storage: Storage, flow: str, run_id: str, step: str, task_id: str) -> Manifest | None:
    """The manifest of the latest attempt that is done, None if there is none. One or two reads."""
    try:
        first = _read(storage, layout.task_manifest(flow, run_id, step, task_id, 0))
    except NotInDatastore:
        return None
    if later := first.get(_SUPERSEDED_BY):
        return _read(storage, layout.task_manifest(flow, run_id, step, task_id, later))
    return first if first["status"] == DONE else None


def read_attempt(
    storage: Storage, flow: str, run_id: str, step: str, task_id: str, attempt: int
) -> Manifest | None:
    """The manifest of one attempt, done or failed; None if it left none."""
    try:
        manifest = _read(storage, layout.task_manifest(flow, run_id, step, task_id, attempt))
    except NotInDatastore:
        return None
    return None if manifest["status"] == _LOST else manifest


def read_task_manifests(
    storage: Storage, flow: str, run_id: str, tasks: Iterable[tuple[str, str]]
) -> list[Manifest | None]:
    """``read_task_manifest`` of every (step, task id), in order; in parallel from S3."""

    def read(task: tuple[str, str]) -> Manifest | None:
        return read_task_manifest(storage, flow, run_id, *task)

    tasks = list(tasks)
    if storage.kind == "local" or len(tasks) < 2:  # noqa: PLR2004  nothing to overlap
        return [read(task) for task in tasks]
    with ThreadPoolExecutor(min(_READERS, len(tasks))) as pool:
        return list(pool.map(read, tasks))


def list_attempts(storage: Storage, flow: str, run_id: str, step: str, task_id: str) -> list[Manifest]:
    """The manifests of all attempts that left one, done or failed, by attempt."""
    folder = layout.task_folder(flow, run_id, step, task_id)
    suffix = layout.TASK_MANIFEST_SUFFIX
    names = (name for name in storage.list_names(folder) if name.endswith(suffix))
    attempts = sorted(int(stem) for name in names if (stem := name.removesuffix(suffix)).isdigit())
    keys = [layout.task_manifest(flow, run_id, step, task_id, attempt) for attempt in attempts]
    manifests = [_read(storage, key) for key in keys]
    return [manifest for manifest in manifests if manifest["status"] != _LOST]


def list_flows(storage: Storage) -> list[str]:
    """The names of the flows that have runs, sorted."""
    return [layout.name_of(name) for name in storage.list_names(f"{layout.FLOWS}/")]


def list_runs(storage: Storage, flow: str) -> list[str]:
    """The ids of the flow's runs, sorted as text."""
    return [layout.name_of(name) for name in storage.list_names(layout.flow_folder(flow))]


def list_steps(storage: Storage, flow: str, run_id: str) -> list[str]:
    """The names of the run's steps that have tasks, sorted."""
    names = storage.list_names(layout.run_folder(flow, run_id))
    return [layout.name_of(name) for name in names if name != layout.RUN_MANIFEST_NAME]


def list_tasks(storage: Storage, flow: str, run_id: str, step: str) -> list[str]:
    """The ids of the step's tasks, sorted as text."""
    names = storage.list_names(layout.step_folder(flow, run_id, step))
    return [layout.name_of(name) for name in names]
