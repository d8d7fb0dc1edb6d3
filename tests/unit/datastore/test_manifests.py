"""Manifests and logs: what was committed comes back, in as few requests as promised."""

from __future__ import annotations

import json

import pytest

from airflow_conda_flow.datastore import layout, logs, manifests
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.errors import DamagedDocument, DatastoreError, NotInDatastore
from airflow_conda_flow.records.document import canonical_json, stored_bytes
from airflow_conda_flow.records.graph import FlowGraph, StepNode
from airflow_conda_flow.records.names import TaskName
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.task_record import DONE, make_task_record

from ...parts.damage import FAULTS, FILE_FAULTS, damage

RUN = {"flow": "F", "run_id": "manual__2026-11-24T02:00:00+00:00"}
TASK = TaskName(*RUN.values(), "train", "0-3")


OLD_RUN = {
    "version": 1,
    **RUN,
    "created": "2026-11-24T02:00:00+00:00",
    "origin": "local",
    "username": "a",
    "tags": [],
    "graph": FlowGraph("F", [StepNode("start", "end", False, "", 1, "")], "", 1, "").to_dict(),
    "code": {"sha256": "ab" * 32, "flow_file": "f.py"},
    "environments": {},
    "pickle_protocols": {"start": 5},
    "parameters": {},
}


def task_record(attempt=0, status=DONE, task=TASK, **more):
    """A record of an attempt of a task."""
    facts = {
        "started": "2026-11-24T02:00:00.000000+00:00",
        "finished": "2026-11-24T02:00:01.000000+00:00",
        "split_name": None,
        "artifacts": {},
        "transition": None,
        "exception": None,
        "run_record": None,
        "environment": None,
        "python": None,
        "seconds": {},
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
    run = RunRecord({**OLD_RUN, "tags": ["é", "\udc80"]})
    assert manifests.write_run_manifest(storage, run) is True
    assert manifests.read_run_manifest(storage, *RUN.values()).document == run.document
    assert manifests.list_flows(storage) == ["F"]
    assert manifests.list_runs(storage, "F") == [RUN["run_id"]]


def test_run_id_is_taken_once(storage):
    """Of two that claim a run id the second is told so, and changes nothing."""
    first, second = (RunRecord({**OLD_RUN, "username": name}) for name in "ab")
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
    assert [each and each.task_id for each in found[:4]] == ["train-0", None, "train-2", None]
    assert len(found) == 40
    assert manifests.read_task_manifests(storage, []) == []
    assert manifests.list_tasks(storage, *RUN.values(), "train") == sorted(t.task_id for t in tasks[::2])
    assert manifests.list_steps(storage, *RUN.values()) == ["train"]


def test_newer_version(storage):
    """A manifest of a newer installation is refused with what to do."""
    key = layout.task_manifest(TASK.attempt(0))
    storage.write_bytes(key, canonical_json({**task_record().document, "version": 3}))
    with pytest.raises(DatastoreError) as caught:
        manifests.read_task_manifest(storage, TASK)
    assert str(caught.value) == (
        f"{key} in the datastore {storage.url} has version 3; this installation reads up to "
        "version 2. Upgrade airflow-conda-flow here."
    )


NO_MANIFESTS = [b"", b"{", b"[]", b"{}", b'{"version":"x"}', b'{"version":true}', b"\xff\xfe", b"null"]


@pytest.mark.parametrize("data", NO_MANIFESTS)
def test_a_manifest_that_is_none(storage, data):
    """A damaged manifest is DamagedDocument: which, where, what to do; never a traceback of JSON."""
    storage.write_bytes(layout.run_manifest("F", "1"), data)
    with pytest.raises(DamagedDocument) as caught:
        manifests.read_run_manifest(storage, "F", "1")
    message = str(caught.value)
    assert message.startswith(f"flows/F/1/run.json in the datastore {storage.url} is damaged: it ")
    assert message.endswith(" Start the run again; or put back a copy of the file, if there is one.")
    assert "\n" not in message


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_manifest(storage, fault):
    """Whatever a disk does to a manifest of a run or a task, its reader says so."""
    manifests.write_run_manifest(storage, RunRecord(OLD_RUN))
    manifests.write_task_manifest(storage, task_record())
    first = TASK.attempt(0)
    for key, read in (
        (layout.run_manifest(*RUN.values()), lambda: manifests.read_run_manifest(storage, *RUN.values())),
        (layout.task_manifest(first), lambda: manifests.read_task_manifest(storage, TASK)),
        (layout.task_manifest(first), lambda: manifests.read_attempt(storage, first)),
        (layout.task_manifest(first), lambda: manifests.list_attempts(storage, TASK)),
    ):
        right = storage.read_bytes(key)
        storage.write_bytes(key, FAULTS[fault](right))
        with pytest.raises(DamagedDocument) as caught:
            read()
        assert str(caught.value).startswith(f"{key} in the datastore {storage.url} is damaged: it")
        storage.write_bytes(key, right)
        read()


@pytest.mark.parametrize("fault", FILE_FAULTS)
@pytest.mark.parametrize("later", [0, 2])
def test_an_attempt_that_is_run_again_replaces_a_damaged_manifest(tmp_path, fault, later):
    """And the mark of a later attempt that is done is not lost with it, unless nothing at all was left."""
    storage = LocalStorage(tmp_path)
    manifests.write_task_manifest(storage, task_record(status="failed"))
    if later:
        manifests.write_task_manifest(storage, task_record(later))
    damage(storage.local_path(layout.task_manifest(TASK.attempt(0))), fault)
    manifests.write_task_manifest(storage, task_record())
    assert manifests.read_task_manifest(storage, TASK).attempt == (later if fault in FAULTS else 0)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_later_attempt_over_a_damaged_one(tmp_path, fault):
    """A later attempt that is done counts, although the manifest of attempt 0 is damaged."""
    storage = LocalStorage(tmp_path)
    manifests.write_task_manifest(storage, task_record(3))
    damage(storage.local_path(layout.task_manifest(TASK.attempt(0))), fault)
    manifests.write_task_manifest(storage, task_record(1))
    assert manifests.read_task_manifest(storage, TASK).attempt == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [("flow", "G"), ("run_id", "7"), ("step", "end"), ("task_id", "train-0-4"), ("attempt", 1)],
)
def test_a_manifest_of_another_task(storage, key, value):
    """A manifest under the key of another one is damaged, although its checksum is right."""
    document = {**task_record().document, key: value}
    storage.write_bytes(layout.task_manifest(TASK.attempt(0)), stored_bytes(document))
    with pytest.raises(DamagedDocument, match=rf"is damaged: its {key} is {value!r}, expected "):
        manifests.read_task_manifest(storage, TASK)
    if key in RUN:
        storage.write_bytes(layout.run_manifest(*RUN.values()), stored_bytes({**OLD_RUN, key: value}))
        with pytest.raises(DamagedDocument, match=rf"is damaged: its {key} is {value!r}, expected "):
            manifests.read_run_manifest(storage, *RUN.values())


def test_manifests_without_a_checksum(storage):
    """Those of older versions are read, and written again with a checksum."""
    first = layout.task_manifest(TASK.attempt(0))
    storage.write_bytes(layout.run_manifest(*RUN.values()), canonical_json(OLD_RUN))
    storage.write_bytes(first, canonical_json(task_record().document))
    assert manifests.read_run_manifest(storage, *RUN.values()).document == OLD_RUN
    assert manifests.read_task_manifest(storage, TASK) == task_record()
    manifests.write_task_manifest(storage, task_record(1))
    assert b'"checksum"' in storage.read_bytes(first)
    # An older version has written a document again, and knew nothing of the checksum in it.
    document = json.loads(storage.read_bytes(first))
    storage.write_bytes(first, canonical_json({**document, "superseded_by": 1}))
    assert manifests.read_task_manifest(storage, TASK).attempt == 1


def test_a_manifest_of_before_ids_named_their_step(storage):
    """Version 1 had the index path alone as the task id: it is the same task, under the same key."""
    key = layout.task_manifest(TASK.attempt(0))
    cards = [{"id": name, "type": "default"} for name in ("card", "report", "card2")]
    document = {**task_record(cards=cards).document, "version": 1, "task_id": TASK.path}
    storage.write_bytes(key, stored_bytes(document))
    read = manifests.read_task_manifest(storage, TASK)
    assert read.with_cards([]) == task_record()
    assert [(each["name"], each["id"]) for each in read.cards] == [
        ("card", None), ("report", "report"), ("card2", None),
    ]  # fmt: skip
    storage.write_bytes(key, stored_bytes({**document, "task_id": "7"}))
    with pytest.raises(DamagedDocument, match=r"its task_id is 'train-7', expected 'train-"):
        manifests.read_task_manifest(storage, TASK)


@pytest.mark.parametrize("key", ["flow", "created", "graph", "environments", "parameters"])
def test_an_old_run_manifest_that_lacks_a_key(storage, key):
    """Without a checksum, a key that every version wrote must be there and of its type."""
    for document in ({k: v for k, v in OLD_RUN.items() if k != key}, {**OLD_RUN, key: None}):
        storage.write_bytes(layout.run_manifest(*RUN.values()), canonical_json(document))
        with pytest.raises(DamagedDocument, match=rf"is damaged: (it has no '{key}'|its {key} is None)\."):
            manifests.read_run_manifest(storage, *RUN.values())


NODE = OLD_RUN["graph"]["steps"][0]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"out_steps": None}, "its graph.steps.0.out_steps is None"),
        ({"out_steps": ["evil"]}, "its step 'start' names 'evil', which is not a step"),
        ({"split_parents": [[]]}, "its graph.steps.0.split_parents.0 is []"),
        ({"switch_cases": [["a"]]}, "its step 'start' has cases that name no step"),
        ({"switch_cases": [["a", "evil"]]}, "its step 'start' has a case for 'evil', which is not after it"),
        ({"out_steps": ["start"]}, "its step 'start' is of the kind 'end'"),
        ({"kind": "switch", "out_steps": ["start"]}, "its last step 'start' has steps after it"),
        ({"kind": "linear"}, "its step 'start' is of the kind 'linear'"),
        ({"matching_join": "start"}, "its step 'start' is closed by 'start'"),
        ({"split_parents": ["start"]}, "its step 'start' is inside other splits than the steps before it"),
        ({"conditional": True}, "its first step 'start' has steps before it"),
        ({"name": "a/b"}, "its graph.steps.0.name is 'a/b'"),
        ({"name": "other"}, "its graph begins or ends with 'start', which is not a step"),
        ({"is_join": True}, "its first step 'start' has steps before it"),
        ({"line": True}, "its graph.steps.0.line is True"),
        ({"kind": "loop"}, "its graph.steps.0.kind is 'loop'"),
    ],
)
def test_an_old_run_manifest_whose_graph_is_none(storage, change, fault):
    """Without a checksum, every value in it must be possible; the message says where it is."""
    graph = {**OLD_RUN["graph"], "steps": [{**NODE, **change}]}
    storage.write_bytes(layout.run_manifest(*RUN.values()), canonical_json({**OLD_RUN, "graph": graph}))
    with pytest.raises(DamagedDocument) as caught:
        manifests.read_run_manifest(storage, *RUN.values())
    assert f"is damaged: {fault}." in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"status": None}, {"status": "dome"}, {"artifacts": None}, {"transition": []}, {"transition": {}},
        {"superseded_by": "1"}, {"attempt": "0"}, {"started": "yesterday"}, {"seconds": {"step": True}},
        {"artifacts": {"x": {"sha256": "../x", "size": 1}}}, {"cards": [None]}, {"environment": ""},
        {"exception": {"type": "E"}}, {"run_record": {"sha256": "ab" * 32}}, {"cloned_from": []},
        {"transition": {"next": ["a"], "num_splits": 3, "split_names": ["one"]}},
    ],
)  # fmt: skip
def test_an_old_task_manifest_that_nobody_wrote(storage, change):
    """Without a checksum, its values must be possible."""
    document = {**task_record().document, **change}
    storage.write_bytes(layout.task_manifest(TASK.attempt(0)), canonical_json(document))
    with pytest.raises(DamagedDocument, match="is damaged: it"):
        manifests.read_task_manifest(storage, TASK)


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
