"""Steps as pods of a real cluster under Airflow's scheduler, with its triggerer and its retries."""

from __future__ import annotations

import os
import re
import signal

import pytest

from ...kubernetes.conftest import root_of
from ..marking import mark_as_failed, marked_flows, write_marked_flows
from ..standalone import Standalone
from .lost_worker import let_end, write_lost_flow

MARKED = marked_flows("kubernetes")
RETRIED = """
from airflow_conda_flow import kubernetes
class {name}(FlowSpec):
    @kubernetes
    @step
    def start(self):
        import time
        self.tries = current.retry_count
        print("attempt", current.retry_count, flush=True)
        time.sleep(1000 if current.retry_count == 0 else 0)
        self.value = list(range(1000))
        self.next(self.end)
    @step
    def end(self):
        self.total = sum(self.value)

from datetime import timedelta
dag = {name}.dag(
    schedule=None,
    environment="local",
    default_args={{"retries": {retries}, "retry_delay": timedelta(seconds=1)}},
)
"""
WIDE = """
from airflow_conda_flow import kubernetes
class WidePodsFlow(FlowSpec):
    @step
    def start(self):
        self.items = ["n%d" % n for n in range(8)]
        self.next(self.square, foreach="items")
    @kubernetes
    @step
    def square(self):
        self.v = int(self.input[1:]) ** 2
        self.next(self.join)
    @step
    def join(self, inputs):
        self.total = sum(each.v for each in inputs)
        self.next(self.end)
    @step
    def end(self):
        pass

dag = WidePodsFlow.dag(schedule=None, environment="local")
"""
GANG = """
import time
from airflow_conda_flow import kubernetes, parallel
class GangFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.train, num_parallel=2)
    @kubernetes
    @parallel
    @step
    def train(self):
        self.found = [current.parallel.node_index, current.retry_count]
        time.sleep(1000 if current.retry_count == 0 else 0)
        self.next(self.join)
    @step
    def join(self, inputs):
        assert [each.found for each in inputs] == [[0, 1], [1, 1]]
        self.next(self.end)
    @step
    def end(self):
        pass

from datetime import timedelta
dag = GangFlow.dag(
    schedule=None, environment="local", default_args={"retries": 1, "retry_delay": timedelta(seconds=1)}
)
"""


@pytest.fixture(scope="module")
def airflow(running) -> Standalone:
    """The running Airflow, with every flow of these tests in its DAG folder; those that wait for a test are started."""
    machine = running.machine
    for name, retries in (("DeletedPodFlow", 1), ("ClearedPodFlow", 0)):
        machine.flow(RETRIED.format(name=name, retries=retries), f"{name.lower()}.py", machine.dags)
    write_lost_flow(machine, "LostPodFlow", "kubernetes")
    machine.flow(WIDE, "wide_pods_flow.py", machine.dags)
    machine.flow(GANG, "gang_flow.py", machine.dags)
    write_marked_flows(machine, "kubernetes")
    waiting = ("deleted_pod_flow", "cleared_pod_flow", "lost_pod_flow", "gang_flow")
    running.trigger_ahead(*(dag_id for dag_id, _ in MARKED.values()), *waiting)
    return running


@pytest.mark.timeout(400)
def test_a_task_that_is_marked_ends_its_pod(kubernetes, airflow):
    """Deferred and on a worker; what the step's `finally` prints is in the log, and the pod goes."""
    mark_as_failed(airflow, "kubernetes", lambda name: '"up"' in airflow.task_log(MARKED[name][0], "start"))
    for name in MARKED:
        kubernetes.wait_until_empty(name)
        manifests = kubernetes.manifests(root_of(airflow.machine), name)
        assert {key: each["status"] for key, each in manifests.items()} == {"start/0/0": "failed"}


@pytest.mark.timeout(400)
def test_a_deleted_pod_is_retried_and_the_result_is_right(kubernetes, airflow):
    """`kubectl delete pod` in the middle of a step: a second attempt, and nothing half-written is seen."""
    airflow.trigger("deleted_pod_flow")
    pod = kubernetes.pod_of("DeletedPodFlow", "start", 200)
    assert pod["metadata"]["labels"]["airflow-conda-flow/attempt"] == "0"
    statement = "select 1 from task_instance where dag_id = 'deleted_pod_flow' and state = 'deferred'"
    airflow.wait_for(lambda: airflow.query(statement), "deleted_pod_flow")
    kubernetes.delete(pod)
    airflow.wait_for_run("deleted_pod_flow")
    manifests = kubernetes.manifests(root_of(airflow.machine), "DeletedPodFlow")
    assert {key: each["status"] for key, each in manifests.items()} == {
        "start/0/0": "failed",
        "start/0/1": "done",
        "end/0/0": "done",
    }
    assert not manifests["start/0/0"]["artifacts"]
    log = airflow.task_log("deleted_pod_flow", "start")
    assert re.search(r"Pod \S+ was (deleted|ended from outside) before its step ended\.", log), log
    assert log.count("attempt 1") == 1


@pytest.mark.timeout(400)
def test_a_cleared_task_deletes_its_pod(kubernetes, airflow):
    """A person clears a task that the triggerer waits for: its pod goes, and the next try has its own."""
    airflow.trigger("cleared_pod_flow")
    pod = kubernetes.pod_of("ClearedPodFlow", "start", 200)
    statement = "select 1 from task_instance where dag_id = 'cleared_pod_flow' and state = 'deferred'"
    airflow.wait_for(lambda: airflow.query(statement), "cleared_pod_flow")
    airflow.clear("cleared_pod_flow", "start")
    airflow.wait_for_run("cleared_pod_flow")
    kubernetes.wait_until_empty("ClearedPodFlow")
    manifests = kubernetes.manifests(root_of(airflow.machine), "ClearedPodFlow")
    states = {key: each["status"] for key, each in manifests.items()}
    # Perhaps nobody was left to say that the first one failed.
    assert states.pop("start/0/0", "lost") in {"failed", "lost"}
    assert states == {"start/0/1": "done", "end/0/0": "done"}
    assert f"Making pod {pod['metadata']['name']} " in airflow.task_log("cleared_pod_flow", "start")


@pytest.mark.timeout(400)
def test_a_worker_that_is_lost_does_not_start_a_second_pod(kubernetes, airflow):
    """The next try waits for the pod that is there, and shows its log from the beginning."""
    airflow.trigger("lost_pod_flow")
    pod = kubernetes.pod_of("LostPodFlow", "start", 200)
    making = f"Making pod {pod['metadata']['name']} "
    airflow.wait_for(lambda: making in airflow.task_log("lost_pod_flow", "start"), "lost_pod_flow")
    os.kill(airflow.running_try("lost_pod_flow", "start")[1], signal.SIGKILL)
    found = f"Pod {pod['metadata']['name']} runs this step already; waiting for it."
    airflow.wait_for(lambda: found in airflow.task_log("lost_pod_flow", "start"), "lost_pod_flow")
    let_end(airflow, "lost_pod_flow")
    airflow.wait_for_run("lost_pod_flow")
    manifests = kubernetes.manifests(root_of(airflow.machine), "LostPodFlow")
    assert set(manifests) == {"start/0/0", "end/0/0"}
    log = airflow.task_log("lost_pod_flow", "start")
    assert len(re.findall(r"Making pod", log)) == 1
    tries = airflow.query(
        "select try_number from task_instance where dag_id = 'lost_pod_flow' and task_id = 'start'"
    )
    assert tries == [(2,)]
    kubernetes.wait_until_empty("LostPodFlow")


@pytest.mark.timeout(400)
def test_a_gang_whose_worker_is_lost_starts_again_as_one(kubernetes, airflow):
    """The pods of the first try are ended, those of the second find one another, and nothing is left."""
    airflow.trigger("gang_flow")

    def running() -> list[dict]:
        pods = kubernetes.pods(f"airflow-conda-flow/run-id={airflow.flow_run_id('gang_flow')}")
        return [pod for pod in pods if pod["status"]["phase"] == "Running"]

    airflow.wait_for(lambda: len(running()) == 2, "gang_flow")
    pods = running()
    os.kill(airflow.running_try("gang_flow", "train")[1], signal.SIGKILL)
    airflow.wait_for_run("gang_flow")
    manifests = kubernetes.manifests(root_of(airflow.machine), "GangFlow")
    assert [manifests[f"train/{node}/1"]["status"] for node in range(2)] == ["done", "done"]
    first = {manifests[key]["status"] for key in ("train/0/0", "train/1/0") if key in manifests}
    assert first <= {"failed", "lost"}
    log = airflow.task_log("gang_flow", "train")
    for pod in pods:
        assert f"Ending pod {pod['metadata']['name']} of an earlier try." in log
    kubernetes.wait_until_empty("GangFlow")


@pytest.mark.timeout(600)
def test_splits_with_readable_names(kubernetes, airflow):
    """Mapped tasks, each a pod; the UI shows the value of each split."""
    airflow.trigger("wide_pods_flow")
    airflow.wait_for_run("wide_pods_flow", seconds=500)
    found = airflow.query(
        "select rendered_map_index from task_instance where dag_id = 'wide_pods_flow' and task_id = 'square'"
    )
    assert {name for (name,) in found} == {f"n{n}" for n in range(8)}
    manifests = kubernetes.manifests(root_of(airflow.machine), "WidePodsFlow")
    assert len(manifests) == 11
    kubernetes.wait_until_empty("WidePodsFlow")
