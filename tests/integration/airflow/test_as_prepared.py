"""Under Airflow: the digest of the run's record is the value that the prepare task returns."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_conda_flow.airflow.manifest_digests import KEY, compared_inputs, manifest_digests
from airflow_conda_flow.airflow.operators import step as step_module
from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.manifests import read_attempt
from airflow_conda_flow.errors import NotAsPrepared
from airflow_conda_flow.records.document import read_document, stored_bytes
from airflow_conda_flow.records.names import TaskName
from airflow_conda_flow.records.run_record import RunRecord

from ...parts.attempt_machine import datastore, make_run, one_step
from .test_tries import context_of, make_operator

__all__ = ["datastore", "make_run"]

START = TaskName("AFlow", "1", "start", "0")
# Its steps change what their run executes next, as whoever may write the datastore could.
POISONED = """
import hashlib, json, os

def reseal(*parts, **changes):
    path = os.path.join(os.environ["POISONED"], "flows", "AFlow", current.run_id, *parts)
    with open(path) as file:
        document = json.load(file)
    document.pop("checksum")
    document.update(changes)
    rest = json.dumps(document, sort_keys=True, separators=(",", ":"))[:-1]
    os.unlink(path)
    with open(path, "w") as file:
        file.write(rest + ',"checksum":"%s"}' % hashlib.sha256(rest.encode()).hexdigest())

class AFlow(FlowSpec):
    poison = Parameter("poison", default="")
    @step
    def start(self):
        self.items = [1, 2]
        self.next(self.before, foreach="items")
    @step
    def before(self):
        if self.input == 2 and self.poison == "record":
            reseal("run.json", environment="conda")
        self.next(self.body)
    @step
    def body(self):
        print("BODY RAN")
        if self.input == 2 and self.poison == "above":
            reseal("start", "0", "0.json", split_name="evil")
        self.next(self.join)
    @step
    def join(self, inputs):
        print("JOIN RAN")
        self.next(self.end)
    @step
    def end(self):
        pass

dag = AFlow.dag(schedule=None, environment="local")
"""

BESIDE = """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.items = [1, 2]
        self.next(self.before, foreach="items")
    @step
    def before(self):
        self.next(self.body)
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


@pytest.mark.parametrize(
    ("poison", "key", "times", "ran"),
    [
        ("record", "run.json", 1, {0}),  # also the task of the other split, if it comes after it
        ("above", "start/0/0.json", 1, {1, 2}),  # the task of the other split may come after it
    ],
)
def test_steps_refuse_what_another_wrote(machine, poison, key, times, ran):
    """`airflow dags test`: the digests come from XComs, also to mapped tasks; a refusal is one line, and final."""
    machine.flow(POISONED, folder=machine.dags)
    conf = json.dumps({"poison": poison})
    done = machine.airflow("dags", "test", "a_flow", "--conf", conf, POISONED=str(machine.datastore))
    what = r"is not what (this run was prepared with|its task in this run wrote)"
    refused = re.findall(rf"flows/AFlow/\S+/{re.escape(key)} in the datastore \S+ {what}", done.stdout)
    assert len(refused) >= times, done.stdout
    assert done.stdout.count("BODY RAN") in ran
    assert "JOIN RAN" not in done.stdout
    assert "up_for_retry" not in done.stdout.lower()


@pytest.fixture
def run(make_run, monkeypatch, tmp_path):
    """A prepared run, in the datastore that Airflow's settings name."""
    monkeypatch.setattr(step_module, "flow_run_id", lambda _dag_id, _run_id: "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CONDA_FLOW_DATASTORE_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("CONDA_FLOW_CACHE_DIR", str(tmp_path / "other-cache"))
    return make_run(one_step("self.x = 1"))


def execute(run, value, **context):
    """Execute the first step after a prepare task that returned this."""
    operator = make_operator(1)
    operator.prepare = "prepare"
    asked = []

    def xcom_pull(task_ids, map_indexes):
        asked.append((task_ids, map_indexes))
        return value

    given = context_of(1, operator.retries)
    told = {}
    given["ti"] = SimpleNamespace(
        **vars(given["ti"]), xcom_pull=xcom_pull, xcom_push=told.__setitem__, **context
    )
    operator.execute(given)
    assert asked == [("prepare", None)]
    assert list(told) == [KEY]
    assert told[KEY] == manifest_digests([read_attempt(run.datastore.storage, START.attempt(0))])


def poisoned(key: str, run) -> str:
    """Change what the datastore has under a key, as somebody who knows the format would."""
    storage = run.datastore.storage
    data = storage.read_bytes(key)
    if key.endswith(".json"):
        data = stored_bytes({**read_document(data, "", "", 9), "username": "mallory"})
    storage.local_path(key).unlink()
    storage.write_bytes(key, data.replace(b"self.x = 1", b"self.x = 2"))
    return key


@pytest.mark.parametrize("what", ["record", "code"])
def test_a_step_refuses_and_is_not_tried_again(run, what):
    """Although the step has retries of its own and Airflow tries left; a cleared task is refused the same way."""
    sha256 = RunRecord(run.manifest).sha256
    code = layout.code_package(run.manifest["code"]["sha256"])
    key = poisoned(layout.run_manifest("AFlow", "1") if what == "record" else code, run)
    with pytest.raises(AirflowFailException) as caught:
        execute(run, {"run": "AFlow/1", "sha256": sha256})
    message = str(caught.value)
    assert key in message
    assert re.search("is not what (this|the) run was prepared with", message)
    assert "\n" not in message


def test_a_step_runs_what_was_prepared(run, capsys):
    """With the digest; and without one, as after a prepare task of an earlier version, where the log says so."""
    execute(run, {"run": "AFlow/1", "sha256": RunRecord(run.manifest).sha256})
    assert "is not compared" not in capsys.readouterr().out
    run.datastore.storage.local_path("flows/AFlow/1/start/0/0.json").unlink()
    execute(run, None)
    assert "Clear prepare to prepare the run again." in capsys.readouterr().out
    assert json.loads(run.datastore.storage.read_bytes("flows/AFlow/1/start/0/0.json"))["status"] == "done"


class Told:
    """A task instance whose XComs are those that the finished tasks of a run have pushed."""

    def __init__(self, map_index: int, values: dict[str, list[dict]]) -> None:
        self.map_index = map_index
        self._values = values
        self.asked: list[object] = []

    def xcom_pull(self, task_ids, key, map_indexes=None):
        assert key == KEY
        self.asked.append((task_ids, map_indexes))
        if isinstance(task_ids, str):
            return self._values[task_ids][map_indexes]
        return self._values[task_ids[0]]


def test_each_manifest_is_compared_with_what_its_task_told(make_run):
    """Of a mapped task that runs beside this one one value is pulled; of others those of all tasks."""
    run = make_run(BESIDE)
    storage, record = run.datastore.storage, RunRecord(run.manifest)
    values = {"start": [manifest_digests([run.done("start").record])]}
    for step in ("before", "body"):
        values[step] = [manifest_digests([run.done(step, index).record]) for index in range(2)]
    ti = Told(1, values)
    assert compared_inputs(ti, storage, record, "body", (1,))
    assert ti.asked == [("before", 1), (["start"], None)]
    ti = Told(-1, values)
    assert compared_inputs(ti, storage, record, "join", ())
    assert sorted(ti.asked) == [(["body"], None), (["start"], None)]
    key = poisoned("flows/AFlow/1/before/1/0.json", run)
    assert compared_inputs(Told(0, values), storage, record, "body", (0,))
    with pytest.raises(NotAsPrepared) as caught:
        compared_inputs(Told(1, values), storage, record, "body", (1,))
    assert str(caught.value).startswith(
        f"{key} in the datastore {storage.url} is not what its task in this run wrote: "
    )
    assert "clear the task 'before'" in str(caught.value)
    # Tasks of earlier versions have told nothing, and one that has not finished is for the attempt to say.
    assert compared_inputs(Told(1, {"start": [], "before": [None, None]}), storage, record, "body", (1,))
    assert compared_inputs(ti, storage, record, "end", ()) is None


SWITCH = """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.way = "a"
        self.next({"a": self.one, "b": self.other}, condition="way")
    @step
    def one(self):
        self.next(self.end)
    @step
    def other(self):
        self.next(self.end)
    @step
    def end(self):
        pass
"""


def test_a_step_is_skipped_by_the_switch_that_ran_alone(make_run, monkeypatch, tmp_path):
    """Another manifest of the switch, which leads elsewhere, is refused: the run would end well without the step."""
    monkeypatch.setattr(step_module, "flow_run_id", lambda _dag_id, _run_id: "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CONDA_FLOW_DATASTORE_ROOT", str(tmp_path / "root"))
    run = make_run(SWITCH)
    told = manifest_digests([run.done("start").record])
    operator = make_operator(0)
    operator.step, operator.prepare = "one", "prepare"
    values = {"prepare": {"run": "AFlow/1", "sha256": RunRecord(run.manifest).sha256}, "start": [told]}
    context = context_of(1, operator.retries)
    given = vars(context["ti"])

    def xcom_pull(task_ids, key=None, map_indexes=None):
        return values[task_ids if isinstance(task_ids, str) else task_ids[0]]

    context["ti"] = SimpleNamespace(**given, xcom_pull=xcom_pull)
    assert operator.open(context).request.step == "one"
    storage, key = run.datastore.storage, "flows/AFlow/1/start/0/0.json"
    task = read_document(storage.read_bytes(key), "", "", 9)
    task["transition"] = {**task["transition"], "next": ["other"], "chosen": "other"}
    storage.local_path(key).unlink()
    storage.write_bytes(key, stored_bytes(task))
    with pytest.raises(NotAsPrepared, match="is not what its task in this run wrote"):
        operator.open(context)
    values["start"] = []  # an earlier version has told nothing
    with pytest.raises(AirflowSkipException):
        operator.open(context)
