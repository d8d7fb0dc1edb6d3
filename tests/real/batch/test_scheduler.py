"""Flows as DAGs under Airflow's scheduler, whose steps are jobs on Batch's real containers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from airflow_conda_flow.compute.batch.failure import ENDED

from ...parts.real_parts import docker
from ..airflow.marking import MARKED, mark_as_failed, write_marked_flows
from ..airflow.standalone import Standalone, standalone
from .flows import SLEEPER, artifact_hashes, flow_name, runs_of, task_manifests

SCHEDULED = ("linear_flow", "nested_flow")
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

WIDE = """
from airflow_conda_flow import batch

class WideFlow(FlowSpec):
    @step
    def start(self):
        self.items = list(range(10))
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
        assert self.total == 285

dag = WideFlow.dag(schedule=None, environment="local")
"""


@pytest.fixture(scope="module")
def airflow(examples) -> Iterator[Standalone]:
    """Airflow with all its processes, and every flow of these tests in its DAG folder."""
    machine = examples.machine
    machine.flow(RETRIED, folder=machine.dags)
    machine.flow(WIDE, "wide_flow.py", machine.dags)
    write_marked_flows(machine, "batch")
    cleared = SLEEPER.format(name="ClearedFlow", sleeps="self.tried == 0", seconds=400, arguments="")
    machine.flow(cleared, "cleared_flow.py", machine.dags)
    arguments = '"retries": 1, "retry_delay": timedelta(seconds=1)'
    lost = SLEEPER.format(name="LostFlow", sleeps="True", seconds=25, arguments=arguments)
    lost = f'import os\nos.environ["CONDA_FLOW_DEFERRABLE"] = "false"\n{lost}'
    machine.flow(lost, "lost_flow.py", machine.dags)
    limits = {
        "AIRFLOW__TRIGGERER__DEFAULT_CAPACITY": "100",
        "AIRFLOW__CORE__PARALLELISM": "8",
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
    }
    with standalone(machine, **limits) as running:
        yield running


@pytest.mark.timeout(500)
def test_the_examples_give_the_same_artifacts(airflow, examples):
    """Both at once, every step a job: as from local processes. From the command line, all examples do."""
    machine = airflow.machine
    local = {name: examples.local_hashes(name) for name in SCHEDULED}
    before = {name: runs_of(machine, flow_name(name)) for name in SCHEDULED}
    for name in SCHEDULED:
        airflow.trigger(name)
    for name in SCHEDULED:
        airflow.wait_for_run(name, seconds=400)
        (run_id,) = runs_of(machine, flow_name(name)) - before[name]
        assert artifact_hashes(machine, run_id) == local[name]
    assert "Hello, world!" in airflow.task_log("linear_flow", "hello")
    assert "testsecret" not in airflow.task_log()


@pytest.mark.timeout(400)
def test_a_killed_container_is_retried_and_the_result_is_right(airflow, cluster):
    """`docker kill` in the middle of one of four splits: a second attempt of that one."""
    before = runs_of(airflow.machine, "AFlow")
    airflow.trigger("a_flow")
    docker("kill", cluster.container_of("AFlow-", "-body-2-", 300))
    airflow.wait_for_run("a_flow")
    (run_id,) = runs_of(airflow.machine, "AFlow") - before
    assert len(artifact_hashes(airflow.machine, run_id)) == 7
    manifests = task_manifests(airflow.machine, run_id)
    killed = manifests["AFlow/body/2/0"]
    assert killed["status"] == "failed"
    assert "it ended without a word" in killed["exception"]["message"]
    assert manifests["AFlow/body/2/1"]["status"] == "done"
    definitions = [each for each in cluster.definitions().values() if each["revision"] > 1]
    assert definitions == []


@pytest.mark.timeout(400)
def test_a_cleared_task_ends_its_job(airflow, cluster):
    """A person clears a task that the triggerer waits for: the job is terminated, and a second one made."""
    airflow.trigger("cleared_flow")
    cluster.container_of("ClearedFlow-", "-0-", 300)
    statement = "select 1 from task_instance where dag_id = 'cleared_flow' and state = 'deferred'"
    airflow.wait_for(lambda: airflow.query(statement), "cleared_flow")
    done = airflow.machine.airflow("tasks", "clear", "cleared_flow", "--task-regex", "start", "--yes")
    assert done.returncode == 0, done.stdout
    airflow.wait_for_run("cleared_flow")
    jobs = sorted(cluster.jobs("ClearedFlow-"), key=lambda job: job["createdAt"])
    assert len(jobs) == 2, [(job["jobName"], job["status"], job.get("statusReason")) for job in jobs]
    first, second = jobs
    assert (first["status"], first["statusReason"]) == ("FAILED", ENDED)
    assert second["status"] == "SUCCEEDED"


@pytest.mark.timeout(400)
def test_a_task_that_is_marked_ends_its_job(airflow, cluster):
    """Deferred and on a worker; what the step's `finally` prints is in the log, and the job fails."""

    def is_up(name: str) -> bool:
        # The server has no lines of a job before the job has ended.
        printed = docker("logs", cluster.container_of(f"{name}-")).stdout.splitlines()
        return "up" in printed and "Job is RUNNING." in airflow.task_log(MARKED[name][0], "start")

    mark_as_failed(airflow, is_up)
    for name in MARKED:
        (job,) = cluster.jobs(f"{name}-")
        assert (job["status"], job["statusReason"]) == ("FAILED", ENDED)


@pytest.mark.timeout(400)
def test_a_worker_that_is_lost_leaves_its_job_to_the_next(airflow, cluster):
    """The worker is killed in the middle of a step: the next try waits for the job that is there."""
    airflow.trigger("lost_flow")
    cluster.container_of("LostFlow-", seconds=200)
    os.kill(airflow.running_try("lost_flow", "start")[1], signal.SIGKILL)
    airflow.wait_for_run("lost_flow")
    assert "runs this step already; waiting for it." in airflow.task_log("lost_flow", "start")
    assert len(cluster.jobs("LostFlow-")) == 1
    assert list(task_manifests(airflow.machine)).count("LostFlow/start/0/0") == 1


@pytest.mark.timeout(500)
def test_splits_are_jobs_of_one_definition(airflow, cluster):
    """By dynamic task mapping; the steps around them run on the worker."""
    airflow.trigger("wide_flow")
    airflow.wait_for_run("wide_flow", seconds=400)
    (run_id,) = runs_of(airflow.machine, "WideFlow")
    assert len(artifact_hashes(airflow.machine, run_id)) == 13
    jobs = cluster.jobs("WideFlow-")
    assert len(jobs) == 10
    assert len({job["jobDefinition"] for job in jobs}) == 1
