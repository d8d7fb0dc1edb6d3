"""Flows as DAGs under Airflow's scheduler, whose steps are jobs on Batch's real containers."""

from __future__ import annotations

import os
import signal

import pytest

from airflow_conda_flow.compute.batch.failure import ENDED

from ....parts.real_parts import docker
from ...batch.flows import SLEEPER, artifact_hashes, runs_of, task_manifests
from ..marking import mark_as_failed, marked_flows, write_marked_flows
from ..standalone import Standalone
from .lost_worker import let_end, write_lost_flow

MARKED = marked_flows("batch")
RETRIED = """
import time
from datetime import timedelta
from airflow_conda_flow import batch

class KilledJobFlow(FlowSpec):
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
            time.sleep(1000)
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

dag = KilledJobFlow.dag(
    schedule=None,
    environment="local",
    default_args={"retries": 3, "retry_delay": timedelta(seconds=1)},
)
"""

WIDE = """
from airflow_conda_flow import batch

class WideJobsFlow(FlowSpec):
    @step
    def start(self):
        self.items = list(range(5))
        self.next(self.body, foreach="items")
    @batch
    @step
    def body(self):
        self.square = self.input ** 2
        self.next(self.join)
    @step
    def join(self, inputs):
        self.total = sum(each.square for each in inputs)
        self.next(self.end)
    @step
    def end(self):
        assert self.total == 30

dag = WideJobsFlow.dag(schedule=None, environment="local")
"""


@pytest.fixture(scope="module")
def airflow(running) -> Standalone:
    """The running Airflow, with every flow of these tests in its DAG folder; those that wait for a test are started."""
    machine = running.machine
    machine.flow(RETRIED, "killed_job_flow.py", machine.dags)
    machine.flow(WIDE, "wide_jobs_flow.py", machine.dags)
    write_marked_flows(machine, "batch")
    cleared = SLEEPER.format(name="ClearedJobFlow", sleeps="self.tried == 0", seconds=1000, arguments="")
    machine.flow(cleared, "cleared_job_flow.py", machine.dags)
    write_lost_flow(machine, "LostJobFlow", "batch")
    running.trigger_ahead(*(dag_id for dag_id, _ in MARKED.values()), "cleared_job_flow", "lost_job_flow")
    return running


@pytest.mark.timeout(400)
def test_a_task_that_is_marked_ends_its_job(airflow, batch):
    """Deferred and on a worker; what the step's `finally` prints is in the log, and the job fails."""

    def is_up(name: str) -> bool:
        # The server has no lines of a job before the job has ended.
        printed = docker("logs", batch.container_of(f"{name}-")).stdout.splitlines()
        return "up" in printed and "Job is RUNNING." in airflow.task_log(MARKED[name][0], "start")

    mark_as_failed(airflow, "batch", is_up)
    for name in MARKED:
        (job,) = batch.jobs(f"{name}-")
        assert (job["status"], job["statusReason"]) == ("FAILED", ENDED)


@pytest.mark.timeout(400)
def test_a_cleared_task_ends_its_job(airflow, batch):
    """A person clears a task that the triggerer waits for: the job is terminated, and a second one made."""
    airflow.trigger("cleared_job_flow")
    batch.container_of("ClearedJobFlow-", "-0-", 300)
    statement = "select 1 from task_instance where dag_id = 'cleared_job_flow' and state = 'deferred'"
    airflow.wait_for(lambda: airflow.query(statement), "cleared_job_flow")
    airflow.clear("cleared_job_flow", "start")
    airflow.wait_for_run("cleared_job_flow")
    jobs = sorted(batch.jobs("ClearedJobFlow-"), key=lambda job: job["createdAt"])
    assert len(jobs) == 2, [(job["jobName"], job["status"], job.get("statusReason")) for job in jobs]
    first, second = jobs
    assert (first["status"], first["statusReason"]) == ("FAILED", ENDED)
    assert second["status"] == "SUCCEEDED"


@pytest.mark.timeout(400)
def test_a_worker_that_is_lost_leaves_its_job_to_the_next(airflow, batch):
    """The worker is killed in the middle of a step: the next try waits for the job that is there."""
    airflow.trigger("lost_job_flow")
    batch.container_of("LostJobFlow-", seconds=200)
    os.kill(airflow.running_try("lost_job_flow", "start")[1], signal.SIGKILL)
    found = "runs this step already; waiting for it."
    airflow.wait_for(lambda: found in airflow.task_log("lost_job_flow", "start"), "lost_job_flow")
    let_end(airflow, "lost_job_flow")
    airflow.wait_for_run("lost_job_flow")
    assert len(batch.jobs("LostJobFlow-")) == 1
    assert list(task_manifests(airflow.machine)).count("LostJobFlow/start/0/0") == 1


@pytest.mark.timeout(400)
def test_a_killed_container_is_retried_and_the_result_is_right(airflow, batch):
    """`docker kill` in the middle of one of four splits: a second attempt of that one."""
    before = runs_of(airflow.machine, "KilledJobFlow")
    airflow.trigger("killed_job_flow")
    airflow.trigger_ahead("wide_jobs_flow")
    docker("kill", batch.container_of("KilledJobFlow-", "-body-2-", 300))
    airflow.wait_for_run("killed_job_flow")
    (run_id,) = runs_of(airflow.machine, "KilledJobFlow") - before
    assert len(artifact_hashes(airflow.machine, run_id)) == 7
    manifests = task_manifests(airflow.machine, run_id)
    killed = manifests["KilledJobFlow/body/2/0"]
    assert killed["status"] == "failed"
    assert "it ended without a word" in killed["exception"]["message"]
    assert manifests["KilledJobFlow/body/2/1"]["status"] == "done"
    definitions = [each for each in batch.definitions().values() if each["revision"] > 1]
    assert definitions == []


@pytest.mark.timeout(500)
def test_splits_are_jobs_of_one_definition(airflow, batch):
    """By dynamic task mapping; the steps around them run on the worker."""
    airflow.trigger("wide_jobs_flow")
    airflow.wait_for_run("wide_jobs_flow", seconds=400)
    (run_id,) = runs_of(airflow.machine, "WideJobsFlow")
    assert len(artifact_hashes(airflow.machine, run_id)) == 8
    jobs = batch.jobs("WideJobsFlow-")
    assert len(jobs) == 5
    assert len({job["jobDefinition"] for job in jobs}) == 1
