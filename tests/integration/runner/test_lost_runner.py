"""A runner that is killed, with its pod, job or worker: what is recorded of its attempt from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from airflow_conda_flow.client.past_run import Run
from airflow_conda_flow.client.scope import default_metadata, metadata, namespace
from airflow_conda_flow.compute.remote_attempt import End, conclude
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.datastore.manifests import read_attempt
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.runner.attempt import caught_outside
from airflow_conda_flow.runner.task_request import TaskRequest

FLOW = """
import time
from airflow_conda_flow import card, catch
from airflow_conda_flow.cards import Markdown

class AFlow(FlowSpec):
    FACTOR = 3
    alpha = Parameter("alpha", default=4)

    @step
    def start(self):
        self.before = "before"
        self.cities = ["Oslo", "Bergen"]
        self.next(self.visit, foreach="cities")

    {catch}
    @card(id="map", save_errors={save_errors})
    @card(id="other")
    @step
    def visit(self):
        current.card["map"].append(Markdown("on the way"))
        current.card["map"].refresh()
        self.lost = 1
        print("READY", flush=True)
        if self.input == "Bergen":
            time.sleep(600)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.merge_artifacts(inputs, include=["before"])
        self.problem = inputs[1].problem
        self.next(self.end)

    @step
    def end(self):
        print("END", self.FACTOR, self.before)
"""
CAUGHT = '@catch(var="problem")'


@pytest.fixture
def lose_runner(make_run, moto_s3, tmp_path, monkeypatch):
    """Runs the split of Bergen with a runner that is killed while the step runs."""
    moto_s3.use(monkeypatch)
    root = moto_s3.make_root()

    def lose(catch, save_errors=True):
        text = FLOW.format(catch=catch, save_errors=save_errors)
        run = make_run(text, parameters={"alpha": 4}, datastore=open_datastore("s3", root, tmp_path / "one"))
        run.root = root
        run.done("start", sources=None)
        request = TaskRequest("AFlow", "1", "visit", (1,), run=RunRecord(run.manifest))
        environ = {
            **os.environ,
            "CONDA_FLOW_DATASTORE": "s3",
            "CONDA_FLOW_DATASTORE_ROOT": root,
            "CONDA_FLOW_CACHE_DIR": str(tmp_path / "two"),
        }
        command = [sys.executable, "-m", "airflow_conda_flow.runner", "run", json.dumps(request.to_dict())]
        with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as runner:
            assert "READY\n" in iter(runner.stdout.readline, "")
            runner.send_signal(signal.SIGKILL)
        assert read_attempt(run.datastore.storage, request.name) is None
        return run, request, conclude(run.datastore.storage, request, End(None, "The pod is gone."))

    return lose


def test_a_lost_attempt_has_every_fact_that_is_known(lose_runner):
    """Name of the split, cards and environment are those that its own runner would have recorded."""
    run, request, result = lose_runner("")
    assert not result.ok
    lost = read_attempt(run.datastore.storage, request.name)
    assert lost.exception["message"] == "The pod is gone."
    assert lost.split_name == "Bergen"
    assert [card["name"] for card in lost.cards] == ["map", "other"]
    seen = run.done("visit", 0, sources=None).record  # the other split, whose runner saw its end
    assert seen.document.keys() == lost.document.keys()
    differing = {key for key in seen.document if seen.document[key] != lost.document[key]}
    of_its_end = {
        "started",
        "finished",
        "artifacts",
        "transition",
        "exception",
        "status",
        "python",
        "seconds",
    }
    assert differing == {"task_id", "split_name", *of_its_end}


def test_a_lost_attempt_has_no_card_that_a_failure_may_not_have(lose_runner):
    """``save_errors=False`` holds whoever records the failure."""
    run, request, _ = lose_runner("", save_errors=False)
    assert read_attempt(run.datastore.storage, request.name).cards == [
        {"name": "other", "id": "other", "type": "default"}
    ]


def test_a_lost_attempt_that_is_caught(lose_runner):
    """The task is done with what it began with: constants, parameters, artifacts, cards, split."""
    run, request, lost = lose_runner(CAUGHT)
    result = caught_outside(request, RunRecord(run.manifest), run.datastore, lost, [].append)
    assert result.ok
    for step, *indices in (("visit", 0), ("join",), ("end",)):
        run.done(step, *indices, sources=None)
    assert run.printed()[-1] == "END 3 before"
    namespace(None)
    metadata(run.root)
    try:
        found = Run("AFlow/1")
        task = found["visit"]["1"]
        assert task.finished
        assert (task.data.FACTOR, task.data.alpha, task.data.before) == (3, 4, "before")
        assert task.data.problem.exception == "The pod is gone."
        assert "lost" not in task.data
        assert task.metadata_dict["split-name"] == "Bergen"
        assert found.data.FACTOR == 3
        assert found.data.problem.type == "airflow_conda_flow.errors.TaskFailed"
    finally:
        default_metadata()
    record = read_attempt(run.datastore.storage, request.name)
    assert [card["id"] for card in record.cards] == ["map", "other"]
    assert record.next_steps == ["join"]
