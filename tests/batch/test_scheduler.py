"""Flows as DAGs under Airflow's scheduler, whose steps are jobs on Batch's real containers."""

from __future__ import annotations

import pytest

from airflow_conda_flow.compute.batch_failure import ENDED

from ..real_parts import docker
from .flows import SLEEPER, artifact_hashes, flow_name, is_done, runs_of, task_manifests
from .standalone import standalone

FLOWS = ("linear_flow", "nested_flow")
pytestmark = pytest.mark.xdist_group("batch")  # they share a Batch, and two processors

RETRIED = """
import time
from datetime import timedelta
from airflow_conda_flow import batch

class AFlow(FlowSpec):
    @batch
    @step
    def start(self):
        self.items = list(range(4))
        self.next(self.body, foreach="items")
    @batch
    @step
    def body(self):
        self.square = self.input ** 2
        if self.input == 2 and current.retry_count == 0:
            time.sleep(200)
        self.next(self.join)
    @batch
    @step
    def join(self, inputs):
        self.total = sum(each.square for each in inputs)
        self.next(self.end)
    @batch
    @step
    def end(self):
        assert self.total == 14

dag = AFlow.dag(
    schedule=None,
    environment="local",
    default_args={"retries": 3, "retry_delay": timedelta(seconds=1)},
)
"""


@pytest.mark.timeout(600)
def test_the_scheduler_runs_everything(examples, cluster):
    """Flows, one of which a person clears a task, and one of which a container is killed: both go on.

    A triggerer runs, so every step is handed to it; its output is in the task's log.
    """
    machine = examples.machine
    machine.flow(RETRIED, folder=machine.dags)
    cleared = SLEEPER.format(name="ClearedFlow", sleeps="self.tried == 0", seconds=400, arguments="")
    machine.flow(cleared, "cleared_flow.py", machine.dags)
    local = {name: examples.local_hashes(name) for name in FLOWS}
    before = {name: runs_of(machine, flow_name(name)) for name in FLOWS}
    with standalone(machine, 560) as airflow:
        airflow.trigger("a_flow", "wide")
        for name in FLOWS:
            airflow.trigger(name, "one")
        airflow.trigger("cleared_flow", "one")
        cluster.container_of("ClearedFlow-", "-0-", 400)
        done = machine.airflow("tasks", "clear", "cleared_flow", "--task-regex", "start", "--yes")
        assert done.returncode == 0, done.stdout
        docker("kill", cluster.container_of("AFlow-wide-", "-body-2-", 400))
        for name in FLOWS:
            airflow.wait_for(lambda name=name: is_done(machine, flow_name(name), before[name]))
        airflow.wait_for(lambda: is_done(machine, "ClearedFlow", set()))
        airflow.wait_for(lambda: is_done(machine, "AFlow", set()))
    jobs = sorted(cluster.jobs("ClearedFlow-"), key=lambda job: job["createdAt"])
    assert len(jobs) == 2, [(job["jobName"], job["status"], job.get("statusReason")) for job in jobs]
    first, second = jobs
    assert (first["status"], first["statusReason"]) == ("FAILED", ENDED)
    assert second["status"] == "SUCCEEDED"
    for name in FLOWS:
        (run_id,) = runs_of(machine, flow_name(name)) - before[name]
        assert artifact_hashes(machine, run_id) == local[name]
    (wide,) = runs_of(machine, "AFlow")
    assert len(artifact_hashes(machine, wide)) == 7
    killed = task_manifests(machine, wide)["AFlow/body/2/0"]
    assert killed["status"] == "failed"
    assert "it ended without a word" in killed["exception"]["message"]
    assert task_manifests(machine, wide)["AFlow/body/2/1"]["status"] == "done"
    log = "".join(path.read_text() for path in machine.home.glob("airflow/logs/**/task_id=hello/**/*.log*"))
    assert "Hello, world!" in log
    assert "testsecret" not in log
    definitions = [each for each in cluster.definitions().values() if each["revision"] > 1]
    assert definitions == []
