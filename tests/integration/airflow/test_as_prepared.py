"""Under Airflow: the digest of the run's record is the value that the prepare task returns."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_conda_flow.airflow.operators import step as step_module
from airflow_conda_flow.datastore import layout
from airflow_conda_flow.records.document import read_document, stored_bytes
from airflow_conda_flow.records.run_record import RunRecord

from ...parts.attempt_machine import datastore, make_run, one_step
from .test_tries import context_of, make_operator

__all__ = ["datastore", "make_run"]

# Its first step is the one who may write the datastore, and changes what its run executes.
POISONED = """
class AFlow(FlowSpec):
    @step
    def start(self):
        import json, hashlib, os
        self.items = [1, 2]
        path = os.path.join(os.environ["POISONED"], "flows", "AFlow", current.run_id, "run.json")
        with open(path) as file:
            document = json.load(file)
        document.pop("checksum")
        document["decorators"]["body"] = {"environment": {"vars": {"EVIL": "1"}}}
        rest = json.dumps(document, sort_keys=True, separators=(",", ":"))[:-1]
        digest = hashlib.sha256(rest.encode()).hexdigest()
        os.unlink(path)
        with open(path, "w") as file:
            file.write(rest + ',"checksum":"%s"}' % digest)
        self.next(self.body, foreach="items")
    @step
    def body(self):
        print("BODY RAN")
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass

dag = AFlow.dag(schedule=None, environment="local")
"""


def test_mapped_steps_refuse_another_record(machine):
    """`airflow dags test`: the digest of prepare reaches mapped tasks; they fail with one line and run nothing."""
    machine.flow(POISONED, folder=machine.dags)
    done = machine.airflow("dags", "test", "a_flow", POISONED=str(machine.datastore))
    assert "BODY RAN" not in done.stdout
    refused = re.findall(
        r"flows/AFlow/\S+/run\.json in the datastore \S+ is not what this run was", done.stdout
    )
    assert len(refused) >= 2, done.stdout
    assert set(machine.manifests()) == {"start/0"}


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
    given["ti"] = SimpleNamespace(**vars(given["ti"]), xcom_pull=xcom_pull, **context)
    operator.execute(given)
    assert asked == [("prepare", None)]


def poisoned(key: str, run) -> str:
    """Change what the datastore has under a key, as somebody who knows the format would."""
    storage = run.datastore.storage
    data = storage.read_bytes(key)
    if key.endswith(".json"):
        data = stored_bytes({**read_document(data, "", ""), "username": "mallory"})
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
