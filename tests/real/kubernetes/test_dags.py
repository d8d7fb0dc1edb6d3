"""Steps as pods of a real cluster under `airflow dags test`: one process, and no triggerer."""

from __future__ import annotations

import json
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from ..airflow.whatever_is_kept import kept_by_airflow, kept_in_s3, use_connection
from .conftest import root_of, write_example

ONE_POD = """
from airflow_conda_flow import kubernetes
class AFlow(FlowSpec):
    @kubernetes({attributes})
    @step
    def start(self):
        {body}
        self.next(self.end)
    @step
    def end(self):
        pass
"""


def one_pod(machine, body, attributes="", **keywords):
    """A DAG whose first step is a pod."""
    flow = machine.flow(
        ONE_POD.format(attributes=attributes, body=body.replace("\n", "\n        ")), folder=machine.dags
    )
    keywords = {"schedule": "None", "environment": "'local'", **keywords}
    words = ", ".join(f"{name}={text}" for name, text in keywords.items())
    flow.write_text(f"from datetime import timedelta\n{flow.read_text()}\ndag = AFlow.dag({words})\n")
    return flow


def test_the_same_artifacts_as_on_this_machine(cluster, make_airflow, shared_root, node_cache, local_hashes):
    """All steps pods in their environments: the same artifacts as from local processes."""
    name = "LinearFlow"
    local = local_hashes(name)
    machine = make_airflow(shared_root, CONDA_FLOW_KUBERNETES_NODE_CACHE=str(node_cache))
    flow = write_example(machine, name, machine.dags, decorators=["kubernetes"])
    done = machine.airflow("dags", "test", flow.stem)
    assert done.returncode == 0, done.stdout
    assert len(set(re.findall(r"Making pod (\S+) in", done.stdout))) == len(local)
    assert cluster.hashes(shared_root, name) == local
    cluster.wait_until_empty(name)


@pytest.mark.parametrize("deferrable", ["false", "true"])
def test_the_log_has_what_the_step_printed_and_no_secret(cluster, make_airflow, deferrable):
    """Line by line, each once, also when the triggerer goes on reading; neither credentials nor the pod's variables are logged."""
    machine = make_airflow(CONDA_FLOW_DEFERRABLE=deferrable, CONDA_FLOW_DEFER_AFTER="2.5")
    body = 'import time\nfor n in range(3):\n    print("line", n, "é😀", flush=True)\n    time.sleep(1)'
    one_pod(machine, body, 'env={"TOKEN": "VERY-SECRET"}')
    done = machine.airflow("dags", "test", "a_flow")
    assert done.returncode == 0, done.stdout
    assert re.findall(r"\] (line \d) é😀", done.stdout) == ["line 0", "line 1", "line 2"]
    assert ("Pausing task as DEFERRED" in done.stdout) is (deferrable == "true")
    with closing(sqlite3.connect(machine.home / "airflow" / "airflow.db")) as airflow:
        kept = airflow.execute("select rendered_fields from rendered_task_instance_fields").fetchall()
        kept += airflow.execute("select value from xcom").fetchall()
    assert kept
    for secret in ("VERY-SECRET", machine.environ["AWS_SECRET_ACCESS_KEY"]):
        assert secret not in done.stdout
        assert secret not in str(kept)


def test_the_secret_of_a_connection_stays_there(cluster, make_airflow):
    """Credentials in `aws_conn_id`: in no log, XCom, template, trigger, pod or object of the datastore."""
    machine = make_airflow(CONDA_FLOW_DEFERRABLE="true", CONDA_FLOW_DEFER_AFTER="1")
    secret = use_connection(machine)
    flow = one_pod(machine, "import time\ntime.sleep(4)")
    flow.write_text(
        flow.read_text().replace(
            "def end(self):\n        pass",
            "def end(self):\n"
            "        from airflow_conda_flow import S3\n"
            "        with S3(run=self) as s3:  # on the worker, by the connection\n"
            "            s3.put('name', 'an object')\n"
            "            print('AFlow has', s3.get('name').text)",
        )
    )
    with ThreadPoolExecutor() as pool:
        running = pool.submit(machine.airflow, "dags", "test", "a_flow")
        pod = json.dumps(cluster.pod_of("AFlow", "start"))
        done = running.result()
    assert done.returncode == 0, done.stdout
    assert "Pausing task as DEFERRED" in done.stdout
    assert "AFlow has an object" in done.stdout
    kept = kept_by_airflow(machine)
    stored = kept_in_s3(cluster.server.make_client(), root_of(machine))
    assert all("AFlow" in text for text in (done.stdout, pod, kept, stored))
    assert not [text for text in (done.stdout, pod, kept, stored) if secret in text]


def test_a_failing_step_and_one_that_runs_out_of_memory(cluster, make_airflow):
    """The user's traceback once, and the failure in a line; an OOM kill in one line."""
    machine = make_airflow()
    flow = one_pod(machine, 'raise ValueError("on purpose")')
    done = machine.airflow("dags", "test", "a_flow")
    assert done.stdout.count("in start\n") + done.stdout.count("in start ") == 1, done.stdout
    assert "Step start failed: ValueError: on purpose" in done.stdout
    flow.unlink()
    body = "x = []\nwhile True:\n    x.append(bytearray(10_000_000))"
    one_pod(machine, body, 'memory=120, qos="Guaranteed", cpu=0.2')
    done = machine.airflow("dags", "test", "a_flow")
    assert re.search(
        r"Step start failed: Pod \S+ ran out of memory and was killed \(OOMKilled\)", done.stdout
    )
    cluster.wait_until_empty("AFlow")


@pytest.mark.parametrize("deferrable", ["false", "true"])
def test_a_task_whose_time_is_up_deletes_its_pod(cluster, make_airflow, deferrable):
    """`execution_timeout` ends the pod, whether a worker or the triggerer waits for it."""
    machine = make_airflow(CONDA_FLOW_DEFERRABLE=deferrable, CONDA_FLOW_DEFER_AFTER="2")
    args = "{'execution_timeout': timedelta(seconds=12)}"
    one_pod(machine, "import time\ntime.sleep(200)", default_args=args)
    done = machine.airflow("dags", "test", "a_flow")
    assert "state=failed" in done.stdout, done.stdout
    assert "imeout" in done.stdout
    cluster.wait_until_empty("AFlow")
    assert {each["status"] for each in cluster.manifests(root_of(machine)).values()} == {"failed"}


def test_a_pod_that_cannot_start_fails_with_the_reason(cluster, make_airflow):
    """The image is not there: one line."""
    machine = make_airflow()
    one_pod(machine, "pass", 'image="not-there:1"')
    done = machine.airflow("dags", "test", "a_flow")
    assert re.search(r"Step start failed: Pod \S+: the image not-there:1 cannot be pulled", done.stdout)
    cluster.wait_until_empty("AFlow")


def test_an_airflow_connection_names_the_cluster(cluster, make_airflow):
    """`kubernetes_conn_id`: its kubeconfig and namespace count, and nothing of the environment."""
    extra = {"kube_config_path": cluster.kubeconfig, "namespace": cluster.namespace}
    machine = make_airflow(
        CONDA_FLOW_KUBERNETES_CONN_ID="my_cluster",
        AIRFLOW_CONN_MY_CLUSTER=json.dumps({"conn_type": "kubernetes", "extra": extra}),
    )
    del machine.environ["KUBECONFIG"], machine.environ["CONDA_FLOW_KUBERNETES_NAMESPACE"]
    one_pod(machine, 'print("hello")')
    done = machine.airflow("dags", "test", "a_flow")
    assert done.returncode == 0, done.stdout
    assert f"in namespace {cluster.namespace}" in done.stdout


def test_pod_mutation_hook_and_airflows_labels(cluster, make_airflow):
    """Pods have Airflow's labels beside ours, and what the deployment's own hook adds."""
    machine = make_airflow()
    (machine.home / "airflow" / "config").mkdir()
    (machine.home / "airflow" / "config" / "airflow_local_settings.py").write_text(
        "def pod_mutation_hook(pod):\n"
        "    from pathlib import Path\n"
        f"    Path({str(machine.home / 'seen')!r}).write_text(repr(pod.metadata.labels))\n"
    )
    one_pod(machine, "pass", 'labels={"team": "data"}')
    done = machine.airflow("dags", "test", "a_flow")
    assert done.returncode == 0, done.stdout
    labels = (machine.home / "seen").read_text()
    for name in (
        "'dag_id': 'a_flow'",
        "'task_id': 'start'",
        "'team': 'data'",
        "'airflow-conda-flow/attempt': '0'",
    ):
        assert name in labels
