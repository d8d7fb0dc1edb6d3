"""A real cluster, and S3 beside it: pods run on the host's network, so that both are at 127.0.0.1."""

from __future__ import annotations

import functools
import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ...parts.airflow_machine import DAGS, AirflowMachine
from ...parts.flow_machine import Machine
from ...parts.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server

# Two foreaches around a branch would be 27 pods; a branch in a foreach shows the same.
NESTED = """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.items = {"a": 2, "b": 3}
        self.next(self.one, foreach="items")
    @step
    def one(self):
        self.v = "%s%d" % (self.input, self.items[self.input])
        self.next(self.x, self.y)
    @step
    def x(self):
        self.w = self.v + "x"
        self.next(self.both)
    @step
    def y(self):
        self.w = self.v + "y"
        self.next(self.both)
    @step
    def both(self, inputs):
        self.w = inputs.x.w + inputs.y.w
        self.merge_artifacts(inputs, include=["v"])
        self.next(self.join)
    @step
    def join(self, inputs):
        self.all = [(each.v, each.w) for each in inputs]
        self.next(self.end)
    @step
    def end(self):
        print("ALL", self.all)
"""
EXAMPLES = ("LinearFlow", "SklearnFlow", "ForeachFlow", "AFlow")

# What pods get to read S3 with; nothing else gives it to them.
SECRET = "s3-credentials"
SMALL = {"CPU": "0.05", "MEMORY": "64", "DISK": "64"}  # what a pod asks for: many fit on a small node


@dataclass(frozen=True)
class KubernetesCluster:
    """The cluster of KUBECONFIG, and a namespace of these tests.

    Attributes:
        kubeconfig: the path of the kubeconfig.
        namespace: the namespace; it holds a secret with the credentials for S3.
        runner_image: the runner image.
        server: the S3 server.
    """

    kubeconfig: str
    namespace: str
    runner_image: str
    server: S3Server

    def kubectl(self, *words: str) -> str:
        """The output of kubectl; it must succeed."""
        done = subprocess.run(
            ["kubectl", "--kubeconfig", self.kubeconfig, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def pods(self, selector: str = "") -> list[dict[str, Any]]:
        """The namespace's pods with these labels."""
        found = _api(self.kubeconfig).list_namespaced_pod(
            self.namespace, label_selector=selector, _preload_content=False
        )
        return json.loads(found.data)["items"]

    def pod_of(self, flow: str, step: str, seconds: float = 90) -> dict[str, Any]:
        """The only running pod of a step; waits for it."""
        selector = f"airflow-conda-flow/flow={flow},airflow-conda-flow/step={step}"
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            running = [pod for pod in self.pods(selector) if pod["status"]["phase"] == "Running"]
            if len(running) == 1:
                return running[0]
            time.sleep(0.3)
        raise AssertionError(f"no pod of {flow}/{step} came up: {self.pods()}")

    def delete(self, pod: dict[str, Any]) -> None:
        """Delete a pod as a person would, and return at once."""
        name = pod["metadata"]["name"]
        self.kubectl("delete", "pod", name, "--namespace", self.namespace, "--wait=false")

    def clear(self, flow: str) -> None:
        """Delete all pods of the flow."""
        selector = f"airflow-conda-flow/flow={flow}"
        self.kubectl("delete", "pods", "--namespace", self.namespace, "--selector", selector, "--wait=false")

    def wait_until_empty(self, flow: str, seconds: float = 60) -> None:
        """Return when every pod of the flow was deleted and none of its containers runs.

        Nobody else deletes them. A kubelet may take another minute to clear away what has ended.
        """
        deadline = time.monotonic() + seconds
        while left := [pod for pod in self.pods(f"airflow-conda-flow/flow={flow}") if not _is_ended(pod)]:
            assert time.monotonic() < deadline, left
            time.sleep(0.3)

    def environ(self, root: str) -> dict[str, str]:
        """The environment variables of whoever launches a run."""
        return {
            **self.server.environment,
            "KUBECONFIG": self.kubeconfig,
            "CONDA_FLOW_DATASTORE": "s3",
            "CONDA_FLOW_DATASTORE_ROOT": root,
            "CONDA_FLOW_KUBERNETES_NAMESPACE": self.namespace,
            "CONDA_FLOW_KUBERNETES_RUNNER_IMAGE": self.runner_image,
            "CONDA_FLOW_KUBERNETES_IMAGE_PULL_POLICY": "Never",
            "CONDA_FLOW_KUBERNETES_HOST_NETWORK": "true",
            "CONDA_FLOW_KUBERNETES_SECRETS": SECRET,
            **{f"CONDA_FLOW_KUBERNETES_{name}": text for name, text in SMALL.items()},
        }

    def manifests(self, root: str, flow: str = "AFlow") -> dict[str, dict[str, Any]]:
        """The task manifests of the newest run of a flow, by ``step/task id/attempt``."""
        bucket, _, prefix = root.removeprefix("s3://").partition("/")
        client = self.server.make_client()
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=f"{prefix}/flows/{flow}/"
        )
        objects = [each for page in pages for each in page.get("Contents", ())]
        keys = [each["Key"] for each in objects]
        last = max(objects, key=lambda each: each["LastModified"])["Key"]
        newest = last.removeprefix(f"{prefix}/flows/{flow}/").split("/")[0]
        found = {}
        for key in keys:
            run, *parts = key.removeprefix(f"{prefix}/flows/{flow}/").split("/")
            if run == newest and len(parts) == 3 and key.endswith(".json"):
                body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
                found["/".join(parts).removesuffix(".json")] = json.loads(body)
        return found

    def hashes(self, root: str, flow: str = "AFlow") -> dict[str, dict[str, str]]:
        """The artifacts of the newest run of a flow, by task; every attempt must have succeeded."""
        manifests = self.manifests(root, flow)
        assert {each["status"] for each in manifests.values()} == {"done"}
        return {
            key.rpartition("/")[0]: {name: ref["sha256"] for name, ref in each["artifacts"].items()}
            for key, each in manifests.items()
        }


@functools.cache
def _api(kubeconfig: str) -> Any:
    """The API of a cluster: whoever waits asks it many times, and a kubectl for each time is a process."""
    from kubernetes import client, config

    return client.CoreV1Api(config.new_client_from_config(kubeconfig))


def _is_ended(pod: dict[str, Any]) -> bool:
    containers = pod["status"].get("containerStatuses", ())
    running = any("running" in container["state"] for container in containers)
    return "deletionTimestamp" in pod["metadata"] and not running


@pytest.fixture(scope="package")
def cluster(kubeconfig, runner_image, moto_s3) -> Iterator[KubernetesCluster]:
    """The cluster, with a namespace that goes with the tests."""
    namespace = f"flows-{secrets.token_hex(4)}"
    cluster = KubernetesCluster(kubeconfig, namespace, runner_image, moto_s3)
    cluster.kubectl("create", "namespace", namespace)
    try:
        cluster.kubectl(
            *("create", "secret", "generic", SECRET, "--namespace", namespace),
            f"--from-literal=AWS_ACCESS_KEY_ID={ACCESS_KEY}",
            f"--from-literal=AWS_SECRET_ACCESS_KEY={SECRET_KEY}",
            # For secrets. A pod is told of the endpoint of S3 alone.
            f"--from-literal=AWS_ENDPOINT_URL_SECRETS_MANAGER={moto_s3.endpoint}",
        )
        yield cluster
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="package")
def shared_root(moto_s3) -> str:
    """A datastore for tests whose environments are the same: solved and mirrored once."""
    return moto_s3.make_root()


@pytest.fixture(scope="package")
def node_cache(tmp_path_factory) -> Iterator[Path]:
    """A directory of the node that pods share, whoever they run as."""
    folder = tmp_path_factory.mktemp("node-cache")
    for each in (folder, *list(folder.parents)[:2]):
        each.chmod(0o755)  # pytest's own are for its user alone
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def write_example(machine: Machine, name: str, folder: Path, **keywords: Any) -> Path:
    """One of ``EXAMPLES`` as a flow file; keywords go to its ``dag()``."""
    if name == "AFlow":
        flow = machine.flow(NESTED, folder=folder)
        text = flow.read_text() + "\ndag = AFlow.dag(schedule=None)\n"
    else:
        source = next(path for path in DAGS.glob("*.py") if f"class {name}(" in path.read_text())
        flow, text = folder / source.name, source.read_text()
    more = "".join(f"{key}={value!r}, " for key, value in keywords.items())
    flow.write_text(text.replace(".dag(", f".dag({more}"))
    return flow


@pytest.fixture(scope="package")
def local_hashes(
    cluster, channel, shared_root, tmp_path_factory
) -> Callable[[str], dict[str, dict[str, str]]]:
    """The artifacts of an example whose steps are processes of this machine, each in its environment."""
    known: dict[str, dict[str, dict[str, str]]] = {}

    def hashes(name: str) -> dict[str, dict[str, str]]:
        if name not in known:
            machine = Machine(tmp_path_factory.mktemp("local"), channel.url, **cluster.environ(shared_root))
            done = machine.run(write_example(machine, name, machine.home), "--environment=conda", "run")
            assert done.returncode == 0, done.stdout + done.stderr
            known[name] = cluster.hashes(shared_root, name)
        return known[name]

    return hashes


@pytest.fixture
def make_machine(cluster, channel, tmp_path) -> Callable[..., Machine]:
    """Makes machines that launch pods."""

    def make(root: str | None = None, **environ: str) -> Machine:
        root = root or cluster.server.make_root()
        return Machine(
            tmp_path / f"home-{secrets.token_hex(3)}", channel.url, **cluster.environ(root), **environ
        )

    return make


@pytest.fixture
def machine(make_machine) -> Machine:
    """A machine that launches pods, with a datastore of its own."""
    return make_machine()


@pytest.fixture
def make_airflow(cluster, channel, database, tmp_path) -> Callable[..., AirflowMachine]:
    """Makes machines with Airflow that launch pods."""

    def make(root: str | None = None, **environ: str) -> AirflowMachine:
        root = root or cluster.server.make_root()
        return AirflowMachine(
            tmp_path / f"airflow-{secrets.token_hex(3)}",
            channel.url,
            database,
            **cluster.environ(root),
            **environ,
        )

    return make


def root_of(machine: Machine) -> str:
    """The root of a machine's datastore."""
    return machine.environ["CONDA_FLOW_DATASTORE_ROOT"]
