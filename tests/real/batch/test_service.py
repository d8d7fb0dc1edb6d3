"""Requests to Batch and CloudWatch: definitions, jobs in one look, and lines as they come."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_conda_flow.compute.batch.attributes import batch_attributes
from airflow_conda_flow.compute.batch.board import JobBoard
from airflow_conda_flow.compute.batch.errors import reporting
from airflow_conda_flow.compute.batch.follow import JobNews
from airflow_conda_flow.compute.batch.job import job_definition
from airflow_conda_flow.compute.batch.jobs import BatchRegion
from airflow_conda_flow.compute.batch.log import JobLog, Pace
from airflow_conda_flow.compute.batch.service import BatchService
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.errors import ComputeUnavailable
from airflow_conda_flow.flow.decorators.batch import BatchDecorator
from airflow_conda_flow.settings.loading import load_settings

from .conftest import ROLE


def make_definition(cluster, fargate=False, **attributes):
    """A definition of a step with these attributes."""
    given = BatchDecorator(**{"image": cluster.image, **attributes}).attributes
    settings = load_settings(environ={"HOME": "/nowhere"})
    return job_definition("s", batch_attributes({"batch": given}, settings), {}, ["true"], fargate=fargate)


def test_a_definition_is_registered_once_by_many_at_once(cluster):
    """Each with a service of its own, as workers have; and again later, by nobody."""
    root = cluster.server.make_root()
    definition = make_definition(cluster, memory=777)

    def register(_number):
        service = BatchService(cluster.client("batch"))
        return service.register(definition, S3Storage(root, cluster.client("s3")))

    with ThreadPoolExecutor(8) as pool:
        arns = set(pool.map(register, range(8)))
    assert len(arns) == 1
    assert {register(0)} == arns
    name = definition["jobDefinitionName"]
    assert [arn for arn in cluster.definitions() if name in arn] == list(arns)


def test_a_definition_that_was_removed_is_registered_again(cluster):
    """Somebody cleaned up: an old claim keeps nobody waiting."""
    storage = S3Storage(cluster.server.make_root(), cluster.client("s3"))
    definition = make_definition(cluster, memory=778)
    arn = BatchService(cluster.client("batch")).register(definition, storage)
    cluster.client("batch").deregister_job_definition(jobDefinition=arn)
    again = BatchService(cluster.client("batch")).register(definition, storage)
    assert again in cluster.definitions()


EC2 = {
    "cpu": 2,
    "memory": 2048,
    "gpu": 1,
    "shared_memory": 64,
    "max_swap": 10,
    "swappiness": 20,
    "use_tmpfs": True,
    "iam_role": ROLE,
    "execution_role": ROLE,
    "host_volumes": ["/data:/in"],
    "efs_volumes": ["fs-01:/efs"],
    "log_driver": "awslogs",
    "log_options": ["awslogs-group:/flows"],
    "inferentia": 1,
    "efa": 1,
    "privileged": True,
}
FARGATE = {
    "cpu": 0.25,
    "memory": 600,
    "execution_role": ROLE,
    "ephemeral_storage": 30,
    "efs_volumes": ["fs-01"],
}


@pytest.mark.parametrize(("fargate", "attributes"), [(False, EC2), (True, FARGATE)], ids=["ec2", "fargate"])
def test_batch_takes_every_attribute(cluster, fargate, attributes):
    """boto3 knows every field, and Batch gives back what it was given."""
    definition = make_definition(cluster, fargate, **attributes)
    storage = S3Storage(cluster.server.make_root(), cluster.client("s3"))
    arn = BatchService(cluster.client("batch")).register(definition, storage)
    stored = cluster.definitions()[arn]
    assert stored["platformCapabilities"] == definition["platformCapabilities"]
    container = definition["containerProperties"]
    assert {name: stored["containerProperties"][name] for name in container} == container


def test_the_kind_of_machine_behind_a_queue(cluster):
    """By its first compute environment."""
    service = BatchService(cluster.client("batch"))
    assert service.is_on_fargate(cluster.fargate_queue)
    assert not service.is_on_fargate(cluster.queue)


class CountingService:
    """A service of which the requests are counted; the jobs run for ever."""

    def __init__(self):
        self.asked = []

    def describe(self, job_ids):
        self.asked.append(sorted(job_ids))
        return {job_id: {"jobId": job_id, "status": "RUNNING"} for job_id in job_ids}


def test_many_waiters_share_a_look():
    """Sixteen threads that look all the time ask Batch about all their jobs once per interval."""
    service = CountingService()
    board = JobBoard(service)
    together = threading.Barrier(16)

    def wait(number):
        with board.watched(f"j{number}"):
            together.wait(10)
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                assert board.look(f"j{number}", 0.25)["status"] == "RUNNING"
                time.sleep(0.01)
            together.wait(10)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(wait, range(16)))
    assert len(service.asked) <= 8
    assert len(service.asked[-1]) == 16


def test_lines_come_while_the_job_runs(cluster):
    """CloudWatch as moto has it: each line once, in order, also what comes between two readings."""
    logs = cluster.client("logs")
    logs.create_log_group(logGroupName="/streaming")
    log = JobLog(logs, "/streaming", Pace(1000))
    assert log.read("a/default/1") == []  # Batch knows the stream before CloudWatch does
    logs.create_log_stream(logGroupName="/streaming", logStreamName="a/default/1")
    now = int(time.time() * 1000)

    def put(*lines):
        events = [{"timestamp": now, "message": line} for line in lines]
        logs.put_log_events(logGroupName="/streaming", logStreamName="a/default/1", logEvents=events)

    put("one", "two")
    assert log.read("a/default/1") == ["one", "two"]
    assert log.read("a/default/1") == []
    put("  three\r\n", "four")
    assert log.read("a/default/1", is_last=True) == ["  three", "four"]
    put("five")
    other = JobLog(logs, "/streaming", Pace(1000), log.token)  # the triggerer, where a worker left off
    assert other.read("a/default/1") == ["five"]


def test_readings_keep_a_pace():
    """A turn that is not due is left out, or waited for."""
    slow = Pace(rate=0.01)
    assert slow.take(wait=False)
    assert not slow.take(wait=False)
    pace = Pace(rate=20)
    started = time.monotonic()
    for _ in range(4):
        pace.take(wait=True)
    assert time.monotonic() - started > 0.1


class FailingService:
    """A service that cannot be reached, until it can."""

    def __init__(self):
        self.is_up = False

    def describe(self, job_ids):
        if not self.is_up:
            raise ComputeUnavailable("AWS Batch: cannot look at jobs: the endpoint cannot be reached.")
        return {job_id: {"jobId": job_id, "status": "SUCCEEDED"} for job_id in job_ids}


def test_a_job_outlives_a_network_that_fails_for_a_while():
    """It is said once, and when Batch answers again the job is as it is."""
    service = FailingService()
    board = JobBoard(service)
    news = JobNews("j", board, None, 0.1)
    with board.watched("j"):
        assert news.lines() == [
            "AWS Batch: cannot look at jobs: the endpoint cannot be reached. Asking again for 5 minutes."
        ]
        assert news.lines() == []
        service.is_up = True
        news.lines()
    assert news.is_over


def test_aws_own_words_stay(cluster):
    """A definition that Batch refuses says what it did not like."""
    region = BatchRegion.of_clients(cluster.client("batch"), cluster.client("logs"))
    with pytest.raises(
        ComputeUnavailable, match=r"cannot submit a job to the queue 'none': .*does not exist"
    ):
        region.service.submit(jobName="ab", jobQueue="none", jobDefinition="none")
    with pytest.raises(ZeroDivisionError), reporting("divide"):
        raise ZeroDivisionError
