"""Steps run as they were prepared: whoever may write the datastore cannot change a run that has begun."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.manifests import read_attempt, read_run_manifest
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.lock import Lock
from airflow_conda_flow.errors import NotAsPrepared
from airflow_conda_flow.records.document import read_document, stored_bytes
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.runner.attempt import caught_outside, run_attempt
from airflow_conda_flow.runner.attempt_record import commit_failure
from airflow_conda_flow.runner.code_sources import CodeSources
from airflow_conda_flow.runner.record_reader import HeldRecords
from airflow_conda_flow.runner.task_inputs import gather_inputs, inputs_sha256
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult

from ...parts.attempt_machine import one_step
from ...parts.damage import FAULTS

FLOW = one_step("self.x = 1")
CAUGHT = one_step("self.x = 1").replace("@step\n    def start", "@catch(var='why')\n    @step\n    def start")
REFUSED = "is not what this run was prepared with: its sha256 is "


def other_seal(data: bytes) -> bytes:
    """Another valid document: what somebody writes who knows the format."""
    return stored_bytes({**read_document(data, "", ""), "username": "mallory"})


def container_request(run, **more) -> TaskRequest:
    """The request that a container gets: it has the digest of the run's record, and not the record."""
    return replace(
        TaskRequest(
            "AFlow", "1", "start", run_sha256=RunRecord(run.manifest).sha256, sources=CodeSources(run.folder)
        ),
        **more,
    )


def outcome(run, request: TaskRequest) -> TaskResult:
    """The result of an attempt of that request."""
    return run_attempt(request, run.datastore, run.environments, lambda _stream, _line: None)


@pytest.mark.parametrize("change", [*FAULTS.values(), other_seal], ids=[*FAULTS, "written by another"])
def test_another_record_is_refused_before_anything_runs(make_run, change):
    """One line names it, says what it is not, and what to do; the refusal is recorded, and nothing else."""
    run = make_run(FLOW)
    storage, key = run.datastore.storage, layout.run_manifest("AFlow", "1")
    storage.write_bytes(key, change(storage.read_bytes(key)))
    with pytest.raises(NotAsPrepared) as caught:
        outcome(run, container_request(run))
    message = str(caught.value)
    assert message.startswith(f"{key} in the datastore {storage.url} {REFUSED}")
    assert "\n" not in message
    assert "start the run again" in message
    record = commit_failure(storage, container_request(run), caught.value)
    assert record == read_attempt(storage, container_request(run).name)
    assert (record.is_done, record.exception["type"]) == (False, "NotAsPrepared")


def test_the_right_record_is_taken(make_run):
    """By its digest; and without one, as in runs that earlier versions prepared."""
    run = make_run(FLOW)
    storage = run.datastore.storage
    for sha256 in (RunRecord(run.manifest).sha256, None):
        assert read_run_manifest(storage, "AFlow", "1", sha256).document == run.manifest
        assert outcome(run, container_request(run, run_sha256=sha256)).ok


def test_a_request_carries_the_digest(make_run):
    """To a container and back; a request of an earlier version has none."""
    request = container_request(make_run(FLOW), sources=None)
    assert TaskRequest.from_dict(json.loads(json.dumps(request.to_dict()))) == request
    old = {name: value for name, value in request.to_dict().items() if name != "run_sha256"}
    assert TaskRequest.from_dict(old).run_sha256 is None


@pytest.mark.parametrize("text", [FLOW, CAUGHT])
def test_another_code_package_is_refused(make_run, text):
    """Also under @catch, which is for failures of the step."""
    run = make_run("from airflow_conda_flow import catch\n" + text)
    storage, key = run.datastore.storage, layout.code_package(run.manifest["code"]["sha256"])
    data = storage.read_bytes(key)
    path = storage.local_path(key)
    path.unlink(missing_ok=True)
    storage.write_bytes(key, data.replace(b"self.x = 1", b"self.x = 2"))
    result = outcome(run, container_request(run, sources=None))
    assert not result.ok
    assert result.exception["type"] == "NotAsPrepared"
    assert result.exception["message"].startswith(f"{key} in {storage.url} is corrupt: expected sha256 ")
    assert "It is not what the run was prepared with. Start the run again" in result.exception["message"]
    record = RunRecord(run.manifest)
    assert caught_outside(container_request(run), record, run.datastore, result, print) is result


def test_another_lock_is_refused(tmp_path):
    """Of the cache directory, which has the only copy with a local datastore."""
    right = Lock("ab12", "linux-64", ())
    environments = Environments(tmp_path)
    key = layout.lock("linux-64", "ab12")
    path = tmp_path / key
    path.parent.mkdir(parents=True)
    path.write_bytes(right.to_bytes())
    found = environments.known_lock("ab12", "linux-64")
    ref = {"python": "3.11", "id": "ab12", "platform": "linux-64", "lock": found.sha256, "packed": None}
    path.write_bytes(right.to_bytes().replace(b'"packages": []', b'"packages":  []'))
    with pytest.raises(NotAsPrepared) as caught:
        environments.prefix_of_run(ref)
    assert str(caught.value).startswith(f"The lock {path} {REFUSED}")
    assert f"expected {found.sha256}." in str(caught.value)


FOREACH = """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.items = [1, 2, 3]
        self.next(self.body, foreach="items")
    @step
    def body(self):
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass
"""


def held_digest(run, held, step: str, *indices: int) -> str:
    """The digest of a task's inputs, of records that a scheduler holds."""
    record = RunRecord(run.manifest)
    reader = HeldRecords(run.datastore.storage, record, held)
    gather_inputs(record, step, indices, reader)
    return inputs_sha256(reader)


def test_another_manifest_of_a_task_before_is_refused(make_run):
    """Of the task before, of the foreach around, and of one input of a join, also if its artifacts are there."""
    run = make_run(FOREACH)
    storage = run.datastore.storage
    held = {("start", ()): run.done("start").record}
    held.update({("body", (index,)): run.done("body", index).record for index in range(3)})
    for step, indices, poisoned in (
        ("body", (1,), ("start", ())),
        ("join", (), ("start", ())),
        ("join", (), ("body", (2,))),
    ):
        request = container_request(
            run, step=step, indices=indices, inputs_sha256=held_digest(run, held, step, *indices)
        )
        key = layout.task_manifest(held[poisoned].name)
        right = storage.read_bytes(key)
        storage.write_bytes(key, stored_bytes({**held[poisoned].document, "python": "3.99"}))
        result = outcome(run, request)
        assert (result.ok, result.exception["type"]) == (False, "NotAsPrepared")
        assert key in result.exception["message"] or " and 1 more. " in result.exception["message"]
        assert "resume the run" in result.exception["message"]
        # What the launcher records for a pod that died takes nothing of it either.
        assert commit_failure(storage, replace(request, attempt=1), ValueError("gone")).split_name is None
        storage.write_bytes(key, right)
        result = outcome(run, request)
        assert result.ok
        held[step, indices] = result.record


def test_a_later_attempt_counts_for_the_digest_too(make_run):
    """The record that the scheduler holds is that of the attempt that the datastore names."""
    run = make_run(FLOW)
    commit_failure(run.datastore.storage, container_request(run), ValueError("no"))
    held = {("start", ()): run.done("start", attempt=1).record}
    request = container_request(run, step="end", inputs_sha256=held_digest(run, held, "end"))
    assert outcome(run, request).ok
