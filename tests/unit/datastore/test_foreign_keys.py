"""Keys that nothing of ours has written, but whoever may write the datastore could have."""

from __future__ import annotations

import pytest

from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.layout import card_of
from airflow_conda_flow.datastore.manifests import list_attempts
from airflow_conda_flow.datastore.tags import change_tags, user_tags
from airflow_conda_flow.records.document import stored_bytes
from airflow_conda_flow.records.names import TaskName
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.runner.run_preparation import first_attempt

from ...parts.attempt_machine import datastore, make_run, one_step

__all__ = ["datastore", "make_run"]
NAMES = ("\u00b2", "x", "-1", "0x1", "9" * 200)


@pytest.fixture
def run(make_run):
    """A run whose step ``start`` is done, and beside whose files such keys are."""
    run = make_run(one_step("self.x = 1"))
    run.done("start")
    for name in NAMES:
        run.datastore.storage.write_bytes(f"flows/AFlow/1/start/0/{name}.json", b"{}")
        run.datastore.storage.write_bytes(f"flows/AFlow/1/start/{name}/0.stdout", b"")
        change = stored_bytes({"version": 1, "add": [], "remove": []})
        run.datastore.storage.write_bytes(f"tags/AFlow/1/{name}-ab.json", change)
    return run


def test_they_are_no_attempts(run):
    """Of a task, of a run that Airflow has made again, and of cards."""
    task = TaskName("AFlow", "1", "start", "0")
    assert [each.attempt for each in list_attempts(run.datastore.storage, task)] == [0]
    assert first_attempt(run.datastore.storage, "AFlow", "1", is_new=True) == 1
    assert [card_of(f"flows/AFlow/1/start/0/{name}.default.card.html") for name in NAMES] == [None] * 5


def test_they_are_listed_last(run):
    """Task ids that are no numbers come after those that are."""
    tasks = RunCatalogue(run.datastore).task_ids("AFlow", "1", "start")
    assert tasks[0] == "start-0"
    assert len(tasks) == 1 + len(NAMES)


def test_changes_of_tags_go_on(run):
    """They are in no order with them."""
    storage, record = run.datastore.storage, RunRecord(run.manifest)
    assert change_tags(storage, record, ["one"], []) == ["one"]
    assert change_tags(storage, record, ["two"], ["one"]) == ["two"]
    assert user_tags(storage, record) == ["two"]
