"""AWS Batch as moto runs it: every job is a real container of this machine's Docker, on its network."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from ...parts.airflow_machine import AirflowMachine
from ...parts.flow_machine import Machine
from ...parts.real_parts import docker
from ...parts.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server, run_moto
from .flows import FLOWS, artifact_hashes, flow_text, on_batch, write_flow

ROLE = "arn:aws:iam::123456789012:role/flows"
# What a role and AWS's network give to a container on AWS, moto cannot give: the image holds it, and nothing of ours
# does. A job is told of the endpoint of S3 alone.
WITH_CREDENTIALS = f"""
FROM {{base}}
ENV AWS_ACCESS_KEY_ID={ACCESS_KEY} AWS_SECRET_ACCESS_KEY={SECRET_KEY}
ENV AWS_ENDPOINT_URL_SECRETS_MANAGER={{endpoint}}
"""


@dataclass(frozen=True)
class BatchCluster:
    """Batch with two queues, and the datastore beside it.

    Attributes:
        server: moto.
        image: the runner image with credentials.
        bare_image: an image that knows nothing of us, with credentials.
        queue: a queue on EC2.
        fargate_queue: a queue on Fargate.
    """

    server: S3Server
    image: str
    bare_image: str
    queue: str = field(default_factory=lambda: f"flows-{secrets.token_hex(4)}")
    fargate_queue: str = field(default_factory=lambda: f"fargate-{secrets.token_hex(4)}")

    def client(self, name: str) -> Any:
        """A boto3 client of a service."""
        return boto3.session.Session().client(
            name,
            endpoint_url=self.server.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
        )

    def environ(self, root: str | None = None) -> dict[str, str]:
        """The environment variables of whoever launches a run."""
        return {
            **self.server.environment,
            "CONDA_FLOW_DATASTORE": "s3",
            "CONDA_FLOW_DATASTORE_ROOT": root or self.server.make_root(),
            "CONDA_FLOW_BATCH_QUEUE": self.queue,
            "CONDA_FLOW_BATCH_IMAGE": self.image,
            "CONDA_FLOW_BATCH_POLL_INTERVAL": "0.3",
        }

    def jobs(self, prefix: str = "") -> list[dict[str, Any]]:
        """The queue's jobs whose names begin so, in full."""
        batch = self.client("batch")
        found = [
            job["jobId"]
            for queue in (self.queue, self.fargate_queue)
            for job in batch.list_jobs(
                jobQueue=queue, filters=[{"name": "JOB_NAME", "values": [f"{prefix}*"]}]
            )["jobSummaryList"]
        ]
        return batch.describe_jobs(jobs=found)["jobs"] if found else []

    def definitions(self) -> dict[str, dict[str, Any]]:
        """Every definition by the ARN of its revision."""
        found = self.client("batch").describe_job_definitions(status="ACTIVE")["jobDefinitions"]
        return {each["jobDefinitionArn"]: each for each in found}

    def container_of(self, prefix: str, part: str = "", seconds: float = 60) -> str:
        """A running container of a job of this cluster whose name begins so and holds that; waits for it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            # Docker also has the containers of other clusters, whose tests run at the same time.
            ids = [job["jobId"] for job in self.jobs(prefix) if part in job["jobName"]]
            names = docker("ps", "--format", "{{.Names}}").stdout.split()
            found = [name for name in names if any(each in name for each in ids)]
            if found:
                return found[0]
            time.sleep(0.5)
        raise AssertionError(f"no container {prefix}* came up")

    def _make_queue(self, name: str, resources: dict[str, Any]) -> None:
        batch, ec2 = self.client("batch"), self.client("ec2")
        subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
        environment = batch.create_compute_environment(
            computeEnvironmentName=name,
            type="MANAGED",
            state="ENABLED",
            serviceRole=self.client("iam").get_role(RoleName="flows")["Role"]["Arn"],
            computeResources={"maxvCpus": 16, "subnets": [subnet], "securityGroupIds": [group], **resources},
        )["computeEnvironmentArn"]
        batch.create_job_queue(
            jobQueueName=name,
            state="ENABLED",
            priority=1,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment}],
        )

    def make_queues(self) -> None:
        """Make the role and both queues."""
        iam = self.client("iam")
        iam.create_role(RoleName="flows", AssumeRolePolicyDocument="{}")
        profile = iam.create_instance_profile(InstanceProfileName="flows")["InstanceProfile"]["Arn"]
        self._make_queue(self.fargate_queue, {"type": "FARGATE"})
        machines = {"minvCpus": 0, "desiredvCpus": 0, "instanceTypes": ["t2.small"], "instanceRole": profile}
        self._make_queue(self.queue, {"type": "EC2", **machines})


def _build(base: str, name: str, endpoint: str) -> str:
    image = f"batch-test/{name}:{base.rpartition(':')[2]}-{endpoint.rpartition(':')[2]}"
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", image, "-"],
        input=WITH_CREDENTIALS.format(base=base, endpoint=endpoint).encode(),
        check=True,
        capture_output=True,
    )
    return image


@pytest.fixture(scope="package")
def cluster(tmp_path_factory, runner_image, base_image) -> Iterator[BatchCluster]:
    """Batch, its queues empty; no container of it outlives the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_DOCKER_NETWORK_MODE", "host")
        with run_moto(tmp_path_factory.mktemp("batch")) as server:
            cluster = BatchCluster(
                server,
                _build(runner_image, "airflow-conda-flow-runner", server.endpoint),
                _build(base_image, "bare", server.endpoint),
            )
            cluster.make_queues()
            yield cluster
            ids = [job["jobId"] for job in cluster.jobs()]
            images = (cluster.image, cluster.bare_image)
    for name in docker("ps", "--all", "--format", "{{.Names}}").stdout.split():
        if any(job_id in name for job_id in ids):
            docker("rm", "--force", name, check=False)
    docker("rmi", *images, check=False)  # only their names, unless nothing else has their layers


@pytest.fixture
def machine(tmp_path, channel, cluster) -> Machine:
    """A machine from which flows run on Batch, with a datastore of its own in S3."""
    machine = Machine(tmp_path / "home", channel.url, **cluster.environ())
    machine.s3 = cluster.client("s3")
    return machine


@pytest.fixture
def airflow_machine(tmp_path, channel, cluster, database) -> AirflowMachine:
    """A machine with Airflow, whose steps with `@batch` are jobs, with a datastore of its own in S3."""
    machine = AirflowMachine(tmp_path / "airflow-home", channel.url, database, **cluster.environ())
    machine.s3 = cluster.client("s3")
    return machine


class Examples:
    """The flows that run in every way, on one machine, so that their environments are made once.

    Attributes:
        machine: with the flow files, all their steps on Batch, in its DAG folder.
    """

    def __init__(self, machine: AirflowMachine) -> None:
        self.machine = machine
        self._local: dict[str, dict[str, dict[str, str]]] = {}
        for name in FLOWS:
            write_flow(machine, name, flow_text(name))
            write_flow(machine, name, on_batch(flow_text(name)), machine.dags)

    def file(self, name: str) -> Path:
        """The flow's file, without `@batch`."""
        return self.machine.home / f"{name}.py"

    def local_hashes(self, name: str) -> dict[str, dict[str, str]]:
        """The artifacts of the flow's run in local processes, by hash."""
        if name not in self._local:
            self._local[name] = self.hashes_of_run(name)
        return self._local[name]

    def hashes_of_run(self, name: str, *options: str) -> dict[str, dict[str, str]]:
        """The artifacts of a run from the command line that must succeed, by hash."""
        machine = self.machine
        words = ("--environment=conda", "run", "--run-id-file", "run-id", *options)
        done = machine.run(self.file(name), *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return artifact_hashes(machine, (machine.home / "run-id").read_text())


@pytest.fixture(scope="package")
def examples(tmp_path_factory, channel, cluster, database) -> Examples:
    """The flows that run in every way."""
    home = tmp_path_factory.mktemp("examples") / "home"
    machine = AirflowMachine(home, channel.url, database, **cluster.environ())
    machine.s3 = cluster.client("s3")
    return Examples(machine)
