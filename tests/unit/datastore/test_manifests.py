"""Manifests and logs: what was committed comes back, in as few requests as promised."""

from __future__ import annotations

import json

import pytest

from airflow_conda_flow.datastore import layout, logs, manifests
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.errors import CorruptData, DatastoreError, NotInDatastore
from airflow_conda_flow.records.document import canonical_json
from airflow_conda_flow.records.names import TaskName
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.task_record import DONE, make_task_record

RUN = {"flow": "F", "run_id": "manual__2026-11-24T02:00:00+00:00"}
TASK = TaskName(*RUN.values(), "train", "0-3")


def task_record(attempt=0, status=DONE, task=TASK, **more):
    """A record of an attempt of a task."""
    facts = {
        "started": "2026-11-24T02:00:00.000000+00:00",
        "finished": "2026-11-24T02:00:01.000000+00:00",
        "split_name": None,
        "artifacts": {},
        "transition": None,
        "exception": None,
        "environment": None,
        "python": None,
        "cards": [],
    }
    return make_task_record(task.attempt(attempt), status=status, **{**facts, **more})


@pytest.fixture
def requests(monkeypatch, storage):
    """The names of the storage's methods that were called."""
    calls = []
    for name in ("read_bytes", "size", "list_names", "list_keys", "write_bytes", "write_if_absent"):
        real = getattr(storage, name)

        def call(*args, name=name, real=real):
            calls.append(name)
            return real(*args)

        monkeypatch.setattr(storage, name, call)
    return calls


def test_run_manifest(storage):
    """A run's manifest comes back with its version, and the run is listed."""
    run = RunRecord({"version": 1, **RUN, "tags": ["é", "\udc80"]})
    assert manifests.write_run_manifest(storage, run) is True
    assert manifests.read_run_manifest(storage, *RUN.values()).document == run.document
    assert manifests.list_flows(storage) == ["F"]
    assert manifests.list_runs(storage, "F") == [RUN["run_id"]]


def test_run_id_is_taken_once(storage):
    """Of two that claim a run id the second is told so, and changes nothing."""
    first, second = (RunRecord({"version": 1, **RUN, "username": name}) for name in "ab")
    assert manifests.write_run_manifest(storage, first, only_if_new=True)
    assert not manifests.write_run_manifest(storage, second, only_if_new=True)
    assert manifests.read_run_manifest(storage, *RUN.values()).username == "a"


def test_missing_run(storage):
    """A run that is not there is NotInDatastore, in words of runs and flows."""
    with pytest.raises(NotInDatastore) as caught:
        manifests.read_run_manifest(storage, "F", "7")
    assert str(caught.value) == f"There is no run '7' of the flow F in the datastore {storage.url}."


def test_task_manifest_costs_one_read(storage, requests):
    """A task that succeeded at once is read with one request, and so is one that has not ended."""
    assert manifests.read_task_manifest(storage, TASK) is None
    assert requests == ["read_bytes"]
    manifests.write_task_manifest(storage, task_record())
    requests.clear()
    assert manifests.read_task_manifest(storage, TASK) == task_record()
    assert requests == ["read_bytes"]


def test_failed_attempt_is_not_done(storage):
    """A task whose attempts all failed has no manifest that counts."""
    manifests.write_task_manifest(storage, task_record(status="failed"))
    manifests.write_task_manifest(storage, task_record(1, "failed"))
    assert manifests.read_task_manifest(storage, TASK) is None
    attempts = manifests.list_attempts(storage, TASK)
    assert [(each.attempt, each.status) for each in attempts] == [(0, "failed"), (1, "failed")]


@pytest.mark.parametrize("first", ["failed", "done", None])
def test_latest_done_attempt_counts(storage, requests, first):
    """A later attempt that is done counts, whether attempt 0 failed, was done, or left nothing."""
    if first:
        manifests.write_task_manifest(storage, task_record(status=first))
    manifests.write_task_manifest(storage, task_record(2, "failed"))
    manifests.write_task_manifest(storage, task_record(11))
    requests.clear()
    assert manifests.read_task_manifest(storage, TASK).attempt == 11
    assert requests == ["read_bytes"] * 2
    attempts = [each.attempt for each in manifests.list_attempts(storage, TASK)]
    assert attempts == ([0, 2, 11] if first else [2, 11])


def test_late_attempts_do_not_win(storage):
    """Attempts that end after a later one was done do not count any more."""
    for attempt in (3, 1, 0):
        manifests.write_task_manifest(storage, task_record(attempt))
    assert manifests.read_task_manifest(storage, TASK).attempt == 3


def test_same_attempt_again(storage):
    """An attempt that is carried out again replaces its manifest."""
    manifests.write_task_manifest(storage, task_record(status="failed"))
    manifests.write_task_manifest(storage, task_record(python="3.11.7"))
    assert manifests.read_task_manifest(storage, TASK).python == "3.11.7"


def test_many_tasks(storage):
    """The manifests of many tasks come in the order asked, None where there is none."""
    tasks = [TaskName(*RUN.values(), "train", str(number)) for number in range(40)]
    for task in tasks[::2]:
        manifests.write_task_manifest(storage, task_record(task=task))
    found = manifests.read_task_manifests(storage, tasks)
    assert [each and each.task_id for each in found[:4]] == ["0", None, "2", None]
    assert len(found) == 40
    assert manifests.read_task_manifests(storage, []) == []
    assert manifests.list_tasks(storage, *RUN.values(), "train") == sorted(t.task_id for t in tasks[::2])
    assert manifests.list_steps(storage, *RUN.values()) == ["train"]


def test_newer_version(storage):
    """A manifest of a newer installation is refused with what to do."""
    key = layout.task_manifest(TASK.attempt(0))
    storage.write_bytes(key, canonical_json({**task_record().document, "version": 2}))
    with pytest.raises(DatastoreError) as caught:
        manifests.read_task_manifest(storage, TASK)
    assert str(caught.value) == (
        f"{key} in the datastore {storage.url} has version 2; this installation reads up to "
        "version 1. Upgrade airflow-conda-flow here."
    )


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"version":"x"}', b"\xff\xfe"])
def test_damaged_manifest(tmp_path, data):
    """A manifest that is no manifest is CorruptData, never a JSON traceback."""
    storage = LocalStorage(tmp_path)
    storage.write_bytes(layout.run_manifest("F", "1"), data)
    with pytest.raises(CorruptData, match=r"flows/F/1/run.json in the datastore .* is no manifest"):
        manifests.read_run_manifest(storage, "F", "1")


def test_canonical_json():
    """Equal values give equal bytes, whatever the order of their keys."""
    assert canonical_json({"b": [1, None], "a": "é"}) == '{"a":"é","b":[1,null]}'.encode()
    assert json.loads(canonical_json({"x": 1.5})) == {"x": 1.5}


def test_logs(storage):
    """An attempt's output comes back byte by byte; one that wrote none is empty."""
    logs.write_log(storage, TASK.attempt(0), "stdout", b"line\n\xff")
    assert logs.read_log(storage, TASK.attempt(0), "stdout") == b"line\n\xff"
    assert logs.read_log(storage, TASK.attempt(0), "stderr") == b""
    assert manifests.list_attempts(storage, TASK) == []
