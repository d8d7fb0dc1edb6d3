"""Flows on a real deployment: PostgreSQL, Redis, CeleryExecutor, two workers that share nothing but S3, and pods.

Pods are those of steps, and those in which the KubernetesExecutor runs tasks.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Iterator

import pytest

from ...parts.airflow_machine import AirflowMachine
from ...parts.s3_servers import ACCESS_KEY, SECRET_KEY
from ..airflow.deployment import WORKERS, Deployment, deployment

WAITS = """
import os
os.environ["CONDA_FLOW_DEFERRABLE"] = "{deferrable}"
from airflow_conda_flow import S3, kubernetes
class {name}(FlowSpec):
    {decorator}
    @step
    def start(self):
        import time
        self.tries = current.retry_count
        print("up", flush=True)
        with S3(s3root="{go}") as s3:
            while not s3.get("go", return_missing=True).exists:
                time.sleep(0.5)
        self.next(self.end)
    @step
    def end(self):
        print("TRIES", self.tries)

dag = {name}.dag(schedule=None, environment="local")
"""
BOTH = """
from airflow_conda_flow import kubernetes
class BothFlow(FlowSpec):
    @step
    def start(self):
        self.items = ["a", "b", "c"]
        self.next(self.here, foreach="items")
    @step
    def here(self):
        self.word = self.input * 2
        self.next(self.there)
    @kubernetes
    @step
    def there(self):
        self.word += "!"
        self.next(self.join)
    @step
    def join(self, inputs):
        self.all = [each.word for each in inputs]
        self.next(self.end)
    @step
    def end(self):
        print("ALL", self.all)

dag = BothFlow.dag(schedule=None, environment="local")
"""
KILLED = """
from airflow_conda_flow import kubernetes, retry
class KilledFlow(FlowSpec):
    @step
    def start(self):
        self.items = ["a", "b", "c"]
        self.next(self.here, foreach="items")
    @retry(times=4, minutes_between_retries=0.02)
    @step
    def here(self):
        import time
        time.sleep(2)
        self.word = self.input * 2
        self.next(self.there)
    @retry(times=4, minutes_between_retries=0.02)
    @kubernetes
    @step
    def there(self):
        import time
        time.sleep(2)
        self.word += "!"
        self.next(self.join)
    @step
    def join(self, inputs):
        self.all = [each.word for each in inputs]
        self.next(self.end)
    @step
    def end(self):
        print("ALL", self.all)

from datetime import timedelta
dag = KilledFlow.dag(
    schedule=None,
    environment="local",
    default_args={"retries": 4, "retry_delay": timedelta(seconds=1)},
)
"""
IN_PODS = """
from airflow_conda_flow import kubernetes
class PodsFlow(FlowSpec):
    @step
    def start(self):
        self.word = "pods"
        self.next(self.there)
    @kubernetes
    @step
    def there(self):
        self.word += "!"
        self.next(self.end)
    @step
    def end(self):
        print("WORD", self.word)

dag = PodsFlow.dag(schedule=None, environment="local", default_args={"executor": "KubernetesExecutor"})
"""
FLOWS = {
    "LocalFlow": ("false", ""),
    "FollowedFlow": ("false", "@kubernetes"),
    "DeferredFlow": ("true", "@kubernetes"),
}
DAGS = {"LocalFlow": "local_flow", "FollowedFlow": "followed_flow", "DeferredFlow": "deferred_flow"}
CONNECTION = "the_store"
ROUNDS = int(os.environ.get("ROUNDS", "0"))  # the test of losses kills each component once
SEED = int(os.environ.get("SEED", "1"))
VICTIMS = ("scheduler", "triggerer", *WORKERS, "pod")


@pytest.fixture(scope="module")
def go(moto_s3) -> str:
    """A folder in S3 in which an object ``go`` lets the steps end that wait."""
    return moto_s3.make_root()


@pytest.fixture(scope="module")
def airflow(cluster, database, moto_s3, go, tmp_path_factory) -> Iterator[Deployment]:
    """The deployment: no process has credentials for S3, which are in a connection in Airflow's database."""
    home = tmp_path_factory.mktemp("celery") / "home"
    environ = {
        name: text
        for name, text in cluster.environ(moto_s3.make_root()).items()
        if not name.startswith("AWS_")
    }
    machine = AirflowMachine(home, None, database, **environ)
    machine.environ.update(
        AWS_EC2_METADATA_DISABLED="true",
        CONDA_FLOW_AWS_CONN_ID=CONNECTION,
        CONDA_FLOW_DEFER_AFTER="0",
    )
    for name, (deferrable, decorator) in FLOWS.items():
        text = WAITS.format(name=name, deferrable=deferrable, decorator=decorator, go=go)
        machine.flow(text, f"{name.lower()}.py", machine.dags)
    machine.flow(BOTH, "bothflow.py", machine.dags)
    machine.flow(KILLED, "killedflow.py", machine.dags)
    machine.flow(IN_PODS, "podsflow.py", machine.dags)
    with deployment(machine) as running:
        extra = f'{{"endpoint_url": "{moto_s3.endpoint}", "region_name": "us-east-1"}}'
        running.ask(
            *("POST", "connections"),
            {
                "connection_id": CONNECTION,
                "conn_type": "aws",
                "login": ACCESS_KEY,
                "password": SECRET_KEY,
                "extra": extra,
            },
        )
        yield running
    for name in (*FLOWS, "BothFlow", "KilledFlow", "PodsFlow"):
        cluster.clear(name)


@pytest.mark.timeout(900)
def test_runs_survive_the_loss_of_scheduler_triggerer_and_workers(cluster, airflow, go, moto_s3):
    """Local steps and pods, followed by a worker and by the triggerer: no ``@retry``, and no second pod.

    The new scheduler takes over the tasks that run, the new triggerer the trigger; tasks of lost workers are tried
    again, and the next try waits for the pod that is there.
    """

    def started(dag_id: str) -> tuple[str | None, int]:
        found = airflow.query(
            "select state, try_number from task_instance where dag_id = ? and task_id = 'start'", dag_id
        )
        return found[0] if found else (None, 0)

    for dag_id in DAGS.values():
        airflow.trigger(dag_id)
    pods = {name: cluster.pod_of(name, "start", 400) for name in ("FollowedFlow", "DeferredFlow")}
    airflow.wait_for(lambda: started("deferred_flow") == ("deferred", 1), "deferred_flow")
    for dag_id in ("local_flow", "followed_flow"):
        airflow.wait_for(lambda dag_id=dag_id: "up" in airflow.task_log(dag_id, "start"), dag_id)

    airflow.kill("scheduler", "triggerer")
    airflow.start("scheduler", "triggerer")
    newest = "select id from job where job_type = 'TriggererJob' order by id desc limit 1"
    assigned = "select triggerer_id from trigger"
    airflow.wait_for(lambda: len(airflow.query("select id from job where job_type = 'TriggererJob'")) == 2)
    airflow.wait_for(lambda: airflow.query(assigned) == airflow.query(newest), "deferred_flow")
    for dag_id in ("local_flow", "followed_flow"):
        assert started(dag_id) == ("running", 1)

    airflow.kill(*WORKERS)
    airflow.start(*WORKERS)
    for dag_id in ("local_flow", "followed_flow"):
        airflow.wait_for(lambda dag_id=dag_id: started(dag_id) == ("running", 2), dag_id)
    waits = f"Pod {pods['FollowedFlow']['metadata']['name']} runs this step already; waiting for it."
    airflow.wait_for(lambda: waits in airflow.task_log("followed_flow", "start"), "followed_flow")

    bucket, _, prefix = go.removeprefix("s3://").partition("/")
    moto_s3.make_client().put_object(Bucket=bucket, Key=f"{prefix}/go", Body=b"")
    for dag_id in DAGS.values():
        airflow.wait_for_run(dag_id)
    assert started("deferred_flow") == ("success", 1)
    for name in ("FollowedFlow", "DeferredFlow"):
        log = airflow.task_log(DAGS[name], "start")
        assert set(re.findall(r"Making pod (\S+)", log)) == {pods[name]["metadata"]["name"]}
        assert "TRIES 0" in airflow.task_log(DAGS[name], "end")
        cluster.wait_until_empty(name)
    assert "TRIES 1" in airflow.task_log("local_flow", "end")


@pytest.mark.timeout(600)
def test_workers_share_nothing_but_s3(cluster, airflow):
    """Tasks of one run on two workers and in pods; what one wrote, the others read, by the connection alone."""
    airflow.trigger("both_flow")
    airflow.wait_for_run("both_flow")
    assert "ALL ['aa!', 'bb!', 'cc!']" in airflow.task_log("both_flow", "end")
    stores = [airflow.home(name) / ".airflow-conda-flow" / "datastore" for name in WORKERS]
    assert not any(store.exists() for store in stores)
    for folder in airflow.log_folders():
        for path in folder.rglob("*.log*"):
            assert SECRET_KEY not in path.read_text(), path
    cluster.wait_until_empty("BothFlow")


@pytest.mark.timeout(900)
# Without rounds, which only `make faults` asks for, there is a case that no storage has: it is not run.
@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS) or [pytest.param(SEED, marks=pytest.mark.on())])
def test_a_run_survives_kills_that_a_seed_draws(cluster, airflow, seed, tally):
    """Of a component that comes back after a while, or of a pod, at any moment; twice in a run."""
    drawn = random.Random(seed)
    began = time.monotonic()
    airflow.trigger("killed_flow")
    killed = []
    for _ in range(2):
        # Not a wait for anything: the moment is drawn. An undisturbed run takes some 20 seconds.
        time.sleep(drawn.uniform(0, 15))
        victim = drawn.choice(VICTIMS)
        if victim == "pod":
            pods = cluster.pods("airflow-conda-flow/flow=KilledFlow")
            if not pods:
                continue
            cluster.delete(drawn.choice(pods))
        else:
            airflow.kill(victim)
            airflow.start(victim)
        killed.append("worker" if victim in WORKERS else victim)
    airflow.wait_for_run("killed_flow", seconds=600)
    print(f"seed {seed}: killed {killed}, done after {time.monotonic() - began:.0f} s")
    assert "ALL ['aa!', 'bb!', 'cc!']" in airflow.task_log("killed_flow", "end")
    cluster.wait_until_empty("KilledFlow", 120)
    for victim in killed:
        tally(f"kills: {victim}, run under Airflow", happened=1)


@pytest.mark.timeout(600)
def test_each_task_is_a_pod(cluster, airflow):
    """With the KubernetesExecutor; the pod of a step is another one, and ends in the triggerer."""
    airflow.trigger("pods_flow")
    airflow.wait_for_run("pods_flow")
    assert "WORD pods!" in airflow.task_log("pods_flow", "end")

    def workers() -> list[tuple[str, str]]:
        pods = cluster.pods("kubernetes_executor=True,dag_id=pods_flow")
        return sorted((pod["metadata"]["labels"]["task_id"], pod["status"]["phase"]) for pod in pods)

    tasks = ["end", "prepare", "start", "there"]
    airflow.wait_for(lambda: workers() == [(task, "Succeeded") for task in tasks], "pods_flow")
    assert "Making pod" in airflow.task_log("pods_flow", "there")
