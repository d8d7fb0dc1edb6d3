"""Flows as DAGs whose steps are jobs on Batch's real containers."""

from __future__ import annotations

import json
import re
import time

import pytest

from airflow_conda_flow.compute.batch.failure import ENDED
from airflow_conda_flow.compute.batch.job import job_family
from airflow_conda_flow.compute.batch.jobs import BatchRegion, job_left
from airflow_conda_flow.compute.batch.plan import job_arguments, plan_step
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.flow.decorators.batch import BatchDecorator
from airflow_conda_flow.runner.task_request import TaskRequest
from airflow_conda_flow.settings.loading import load_settings

from ..airflow.whatever_is_kept import kept_by_airflow, kept_in_s3, use_connection
from .flows import SLEEPER, artifact_hashes, flow_name, runs_of


def test_dags_test_leaves_the_same_artifacts_as_local_processes(examples):
    """`airflow dags test`: by hash, every artifact of every task."""
    name = "linear_flow"
    machine = examples.machine
    local = examples.local_hashes(name)
    before = runs_of(machine, flow_name(name))
    done = machine.airflow("dags", "test", name)
    assert done.returncode == 0, done.stdout
    (run_id,) = runs_of(machine, flow_name(name)) - before
    assert artifact_hashes(machine, run_id) == local
    assert "testsecret" not in done.stdout


def test_a_failing_step_says_why_in_its_log(airflow_machine):
    """The user's lines come out of CloudWatch; nothing of ours is in the traceback."""
    text = """
from airflow_conda_flow import batch
class AFlow(FlowSpec):
    @batch
    @step
    def start(self):
        print("a line of the step")
        raise ValueError("on purpose")
        self.next(self.end)
    @step
    def end(self):
        pass

dag = AFlow.dag(schedule=None, environment="local")
"""
    airflow_machine.flow(text, folder=airflow_machine.dags)
    done = airflow_machine.airflow("dags", "test", "a_flow")
    assert "a line of the step" in done.stdout
    assert re.search(r'File ".*a_flow\.py", line \d+, in start', done.stdout), done.stdout
    assert "Step start failed: ValueError: on purpose" in done.stdout
    assert artifact_hashes(airflow_machine) == {}


def test_the_secret_of_a_connection_stays_there(airflow_machine, cluster):
    """Credentials in `aws_conn_id`: in no log, XCom, template, trigger, job or object of the datastore."""
    machine = airflow_machine
    machine.environ.update(CONDA_FLOW_DEFERRABLE="true", CONDA_FLOW_DEFER_AFTER="1")
    secret = use_connection(machine)
    text = SLEEPER.format(name="SecretFlow", sleeps="True", seconds=4, arguments="")
    machine.flow(text, "secret_flow.py", machine.dags)
    done = machine.airflow("dags", "test", "secret_flow")
    assert done.returncode == 0, done.stdout
    assert "Pausing task as DEFERRED" in done.stdout
    jobs = json.dumps([cluster.jobs("SecretFlow-"), cluster.definitions()], default=str)
    kept = kept_by_airflow(machine)
    stored = kept_in_s3(machine.s3, machine.environ["CONDA_FLOW_DATASTORE_ROOT"])
    assert all("SecretFlow" in text for text in (done.stdout, jobs, kept, stored))
    assert not [text for text in (done.stdout, jobs, kept, stored) if secret in text]


def test_a_queue_that_does_not_exist_fails_the_prepare_task(airflow_machine):
    """Before any step, and in one line."""
    airflow_machine.environ["CONDA_FLOW_BATCH_QUEUE"] = "none"
    airflow_machine.flow(
        """
from airflow_conda_flow import batch
class AFlow(FlowSpec):
    @batch
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        pass

dag = AFlow.dag(schedule=None, environment="local")
""",
        folder=airflow_machine.dags,
    )
    done = airflow_machine.airflow("dags", "test", "a_flow")
    assert "There is no job queue 'none' in us-east-1." in done.stdout
    assert "Batch job" not in done.stdout


@pytest.mark.parametrize("deferrable", ["false", "true"])
def test_a_task_whose_time_is_up_ends_its_job(airflow_machine, cluster, deferrable):
    """In the worker, and while the triggerer waits."""
    arguments = '"execution_timeout": timedelta(seconds=8)'
    text = SLEEPER.format(name="AFlow", sleeps="True", seconds=300, arguments=arguments)
    airflow_machine.flow(text, folder=airflow_machine.dags)
    waits = {"CONDA_FLOW_DEFERRABLE": deferrable, "CONDA_FLOW_DEFER_AFTER": "4"}
    done = airflow_machine.airflow("dags", "test", "a_flow", **waits)
    assert "imeout" in done.stdout
    job = newest_job(cluster, "AFlow-")
    deadline = time.monotonic() + 30
    while job["status"] != "FAILED":
        assert time.monotonic() < deadline, job
        time.sleep(0.5)
        job = newest_job(cluster, "AFlow-")
    assert job["statusReason"] == ENDED


def newest_job(cluster, prefix):
    """The last job whose name begins so."""
    return max(cluster.jobs(prefix), key=lambda job: job["createdAt"])


def test_a_job_of_an_earlier_attempt_is_waited_for_unless_it_ends(cluster, tmp_path):
    """By its name; one that was told to end is left alone."""
    region = BatchRegion.of_clients(cluster.client("batch"), cluster.client("logs"))
    storage = S3Storage(cluster.server.make_root(), cluster.client("s3"))
    settings = load_settings(environ={"HOME": str(tmp_path), **cluster.environ(storage.url)})
    decorators = {"batch": BatchDecorator().attributes}
    plan = plan_step("s", decorators, settings, storage, region.service)
    arn = region.service.register(plan.definition, storage)

    def request(attempt):
        return TaskRequest("Found", "1", "s", (), attempt)

    def left(attempt):
        family = job_family(request(attempt), storage.url)
        return job_left(region.service, plan.queue, family, range(attempt + 1))

    assert left(1) is None
    arguments = job_arguments(plan, arn, request(0), storage.url)
    arguments["containerOverrides"] = {"command": ["sleep", "100"]}
    job_id = region.service.submit(**arguments)
    cluster.container_of("Found-")
    assert left(0)["jobId"] == job_id
    assert left(1)["jobId"] == job_id
    region.service.terminate(job_id)
    assert left(1) is None
