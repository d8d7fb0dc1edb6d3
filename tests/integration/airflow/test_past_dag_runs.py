"""Runs that Airflow made, read by the client and resumed on the command line."""

from __future__ import annotations

import re

from airflow_conda_flow import DataArtifact, Flow, Run, Step, Task, namespace
from airflow_conda_flow.client import scope

FLOW = """
import os
class AFlow(FlowSpec):
    word = Parameter("word", default="hello")
    @step
    def start(self):
        self.items = ["x", "y", "z"]
        self.next(self.body, foreach="items")
    @step
    def body(self):
        print("running body", self.input, current.origin_run_id)
        if current.dag_run_id:
            from airflow_conda_flow import Run, Task
            assert Run("AFlow/" + current.dag_run_id) == current.run
            path = current.pathspec.replace(current.run_id, current.dag_run_id)
            assert Task(path) == current.task
        if self.input == os.environ.get("FAILING"):
            raise ValueError("boom")
        self.y = self.input + self.word
        self.next(self.join)
    @step
    def join(self, inputs):
        self.all = [each.y for each in inputs]
        self.next(self.end)
    @step
    def end(self):
        print("ALL", self.all)

dag = AFlow.dag(schedule=None, environment="local")
"""


def test_a_dag_run_that_failed_is_read_and_resumed(machine, monkeypatch):
    """The client sees what it did and what failed; resume clones the one and runs the other; spin runs a task of it."""
    flow = machine.flow(FLOW, folder=machine.dags)
    failed = machine.airflow("dags", "test", "a_flow", "--conf", '{"word": "!"}', FAILING="y")
    assert "ValueError: boom" in failed.stdout
    monkeypatch.setenv("METAFLOW_USER", "tester")
    scope.metadata(str(machine.datastore))
    try:
        run = Flow("AFlow").latest_run
        assert run.runtime_name == "airflow"
        assert {"runtime:airflow", "user:tester"} <= run.system_tags
        assert not run.successful
        assert [task.finished for task in run["body"]] == [True, False, True]
        assert (run["body"]["1"].exception.type, run["body"]["1"].index) == ("ValueError", 1)
        assert "running body x None\n" in run["body"]["0"].stdout
        assert run["body"]["2"].data.y == "z!"
        dag_run_id = re.match(r"(manual__\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)", run.id)
        assert dag_run_id, run.id
        shown = run["body"].parent._run_record().current["dag_run_id"]  # as Airflow's pages have it
        assert "+00:00" in shown
        assert (Run(f"AFlow/{shown}"), Flow("AFlow")[shown], shown in Flow("AFlow")) == (run, run, True)
        assert Step(f"AFlow/{shown}/body").parent == run
        assert Task(f"AFlow/{shown}/body/1", attempt=0) == Task(f"{run.pathspec}/body/1", attempt=0)
        assert DataArtifact(f"AFlow/{shown}/body/2/y").data == "z!"
        done = machine.run(flow, "resume", "--origin-run-id", run.id)
        assert done.returncode == 0, done.stdout + done.stderr
        cloned = re.findall(r"\[\d+/(\S+)\] Cloning previously run task", done.stdout)
        assert cloned == ["start/start-0", "body/body-0", "body/body-2"]
        assert f"] running body y {run.id}\n" in done.stdout
        assert "] ALL ['x!', 'y!', 'z!']\n" in done.stdout
        again = Flow("AFlow").latest_successful_run
        assert again.origin_pathspec == run.pathspec
        assert again["body"]["0"].origin_pathspec == f"{run.pathspec}/body/body-0"
        assert again["body"]["0"].stdout == run["body"]["0"].stdout
        assert again["body"]["1"].origin_pathspec is None
        machine.run(flow, "tag", "add", "--run-id", run.id, "seen")
        assert [each.id for each in Flow("AFlow").runs("seen")] == [run.id]
        spun = machine.run(flow, "spin", f"{run.id}/body/1")
        assert spun.returncode == 0, spun.stdout + spun.stderr
        assert "] running body y " in spun.stdout
        namespace("runtime:airflow")
        assert [each.id for each in Flow("AFlow")] == [run.id]
    finally:
        namespace(None)
        scope.default_namespace()
        scope._selected["metadata"] = None
