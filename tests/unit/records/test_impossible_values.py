"""Documents with a right checksum and impossible values: one line says which, and no reader meets them."""

from __future__ import annotations

import pytest

from airflow_conda_flow.datastore import layout, manifests
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.environments.lock import Lock
from airflow_conda_flow.environments.packed import PackedEnvironment, packed_bytes, read_packed
from airflow_conda_flow.errors import DatastoreError
from airflow_conda_flow.records import lineage
from airflow_conda_flow.records.document import read_document, stored_bytes
from airflow_conda_flow.records.names import TaskName
from airflow_conda_flow.records.run_record import RunRecord, wrong_run_manifest
from airflow_conda_flow.records.task_record import (
    TASK_VERSION,
    TaskRecord,
    current_task_manifest,
    wrong_task_manifest,
)
from airflow_conda_flow.records.times import stated_moment

from ...parts.attempt_machine import AttemptMachine
from ...parts.impossible import impossible
from ...parts.old_datastore import lock_bytes

FLOW = """
from airflow_conda_flow import card, catch
class AFlow(FlowSpec):
    word = Parameter("word", default="hello")
    factor = 3
    @step
    def start(self):
        self.items = [letter * 100_000 for letter in "ab"]  # long enough to be stored in blocks too
        self.next(self.each, foreach="items")
    @card(id="facts")
    @step
    def each(self):
        self.kind = "odd" if self.index else "even"
        self.next({"odd": self.odd, "even": self.even}, condition="kind")
    @step
    def odd(self):
        self.next(self.meet)
    @catch(var="problem")
    @step
    def even(self):
        raise ValueError("no")
        self.next(self.meet)
    @step
    def meet(self):
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass
"""
ENDED = [
    ("start", ()),
    ("each", (0,)),
    ("each", (1,)),
    ("even", (0,)),
    ("odd", (1,)),
    ("meet", (0,)),
    ("join", ()),
]
FOLLOWING = [("each", (1,)), ("odd", (1,)), ("meet", (0,)), ("join", ()), ("end", ())]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with every kind of transition, whose last task has not run."""
    folder = tmp_path_factory.mktemp("impossible")
    run = AttemptMachine(
        folder / "code", FLOW, open_datastore("local", folder / "store", folder / "cache"), {"word": "hello"}
    )
    for step, indices in [*ENDED[:-1], ("meet", (1,)), ENDED[-1]]:
        run.done(step, *indices)
    return run


@pytest.fixture(scope="module")
def records(run):
    """Record of each task that has ended, by step and indices."""
    storage = run.datastore.storage
    return {
        key: manifests.read_task_manifest(storage, TaskName.at("AFlow", "1", *key))
        for key in [*ENDED, ("meet", (1,))]
    }


def check_line(error):
    """An error of a reader is one line, and none of Python's own about a list or an object."""
    assert "\n" not in str(error)
    assert type(error) not in {IndexError, KeyError}


def read(data, version, wrong):
    """The document; None if it is refused in one line."""
    try:
        return read_document(data, "a/key in /place", "Do this.", version, wrong)
    except DatastoreError as error:
        check_line(error)
        return None


def use_run(document, records):
    """Ask everything of a run's record that readers ask."""
    run = RunRecord(document)
    properties = [name for name in dir(RunRecord) if isinstance(getattr(RunRecord, name), property)]
    for name in properties:
        getattr(run, name)
    stated_moment(run.created).astimezone()
    _ = run.first_namespace, run.revised(run, ())
    for step in run.graph.steps:
        run.graph.descendants(step)
        run.graph.foreach_depth(step)
        run.graph.is_in_gang(step)
        _ = run.environment_of(step), run.pickle_protocol(step), run.decorators_of(step)
        run.user_decorators_of(step)
    follow(run, records)


def follow(run, records):
    """Ask where tasks come from and lead to; a record that is missing is LookupError, a wrong one CorruptData."""

    def record_of(step, indices):
        return records.get((step, indices))

    def ask(function, *arguments):
        try:
            return function(*arguments)
        except LookupError as error:
            check_line(error)
        except DatastoreError as error:
            check_line(error)
        return None

    for step, indices in FOLLOWING:
        if step in run.graph.steps:
            ask(lineage.parents, run.graph, step, indices, record_of)
            ask(lineage.is_taken, run.graph, step, indices, record_of)
    for (step, indices), record in records.items():
        if step in run.graph.steps:
            ask(lineage.next_tasks, run.graph, indices, record.transition)


def use_task(document, run, records):
    """Ask everything of a task's record that readers ask."""
    record = TaskRecord(current_task_manifest(document))
    for name in [name for name in dir(TaskRecord) if isinstance(getattr(TaskRecord, name), property)]:
        if record.status != "lost" or name in {"status", "superseded_by", "name", "task"}:
            getattr(record, name)
    if record.status == "lost":
        return
    for moment in (record.started, record.finished):
        if moment is not None:
            stated_moment(moment).astimezone()
    record.clone("2")
    for index in range(record.num_splits or 0):
        record.frame(index)
    key = next((key for key in records if TaskName.at("AFlow", "1", *key) == record.task), None)
    if key is not None:  # else its reader finds that it is another task's
        layout.task_log(record.ran_as, "stdout").encode("utf-8")
        follow(run, {**records, key: record})


def test_run_manifests(run, records):
    """Whatever is changed in one, it is refused, or all of it can be used."""
    refused = 0
    for what, changed in impossible(run.manifest):
        document = read(stored_bytes(changed), 1, wrong_run_manifest)
        refused += document is None
        try:
            if document is not None:
                use_run(document, records)
        except Exception as error:
            raise AssertionError(what) from error
    assert refused > 1000


@pytest.mark.parametrize("key", [*ENDED], ids=str)
def test_task_manifests(run, records, key):
    """Whatever is changed in one, it is refused, or all of it can be used."""
    refused = 0
    for what, changed in impossible(records[key].document):
        document = read(stored_bytes(changed), TASK_VERSION, wrong_task_manifest)
        refused += document is None
        try:
            if document is not None:
                use_task(document, RunRecord(run.manifest), records)
        except Exception as error:
            raise AssertionError(what) from error
    assert refused > 300


def test_locks_and_packed_environments():
    """Whatever is changed in one, it is refused, or can be used."""
    document = read_document(lock_bytes("ab", "linux-64", (b"a", b"b")), "", "")
    for _, changed in impossible(document):
        try:
            lock = Lock.from_bytes(stored_bytes(changed), "/a/path", "ab", "linux-64")
        except DatastoreError as error:
            check_line(error)
        else:
            _ = lock.digest, lock.to_bytes()
    packed = PackedEnvironment("/tmp/x", "0" * 64, 1)
    for what, changed in impossible(read_document(packed_bytes("linux-64", "ab", packed), "", "")):
        found = read_packed(stored_bytes(changed), "linux-64", "ab")
        assert found is None or (found.size >= 0 and found.prefix.startswith("/")), what
