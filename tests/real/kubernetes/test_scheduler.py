"""Steps as pods of a real cluster under Airflow's scheduler, with its triggerer and its retries."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator

import pytest

from ...parts.airflow_machine import AirflowMachine
from ..airflow.marking import MARKED, mark_as_failed, write_marked_flows
from ..airflow.standalone import Standalone, standalone
from .conftest import root_of, write_example

SCHEDULED = {"LinearFlow": "linear_flow", "AFlow": "a_flow"}
"""Examples under the scheduler: the id of the DAG by the name of the flow."""

RETRIED = """
from airflow_conda_flow import kubernetes
{before}
class {name}(FlowSpec):
    @kubernetes
    @step
    def start(self):
        import time
        self.tries = current.retry_count
        print("attempt", current.retry_count, flush=True)
        time.sleep({seconds} if current.retry_count == 0 else 0)
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
class WideFlow(FlowSpec):
    @step
    def start(self):
        self.items = ["n%d" % n for n in range(16)]
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

dag = WideFlow.dag(schedule=None, environment="local")
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
        time.sleep(200 if current.retry_count == 0 else 0)
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
def airflow(cluster, channel, database, shared_root, node_cache, tmp_path_factory) -> Iterator[Standalone]:
    """Airflow with all its processes, and every flow of these tests in its DAG folder."""
    machine = AirflowMachine(
        tmp_path_factory.mktemp("scheduler") / "home",
        channel.url,
        database,
        **cluster.environ(shared_root),
        CONDA_FLOW_KUBERNETES_NODE_CACHE=str(node_cache),
        AIRFLOW__CORE__PARALLELISM="8",
        AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG="64",
    )
    for name in SCHEDULED:
        write_example(machine, name, machine.dags, decorators=["kubernetes"])
    not_deferred = 'import os\nos.environ["CONDA_FLOW_DEFERRABLE"] = "false"'
    for name, before, seconds, retries in (
        ("DeletedFlow", "", 200, 1),
        ("LostFlow", not_deferred, 40, 1),
        ("ClearedFlow", "", 200, 0),
    ):
        text = RETRIED.format(name=name, before=before, seconds=seconds, retries=retries)
        machine.flow(text, f"{name.lower()}.py", machine.dags)
    machine.flow(WIDE, "wide_flow.py", machine.dags)
    machine.flow(GANG, "gang_flow.py", machine.dags)
    write_marked_flows(machine, "kubernetes")
    with standalone(machine) as running:
        yield running
    for name in (*SCHEDULED, "DeletedFlow", "LostFlow", "ClearedFlow", "WideFlow", "GangFlow", *MARKED):
        cluster.clear(name)  # of a test that failed; others count the pods of flows of the same name


@pytest.mark.timeout(600)
def test_the_examples_give_the_same_artifacts(cluster, airflow, local_hashes):
    """Both at once, every step a pod: as from local processes. From the command line, all examples do."""
    local = {name: local_hashes(name) for name in SCHEDULED}
    for name in SCHEDULED:
        cluster.clear(name)  # what an earlier try of this test has left
    for dag_id in SCHEDULED.values():
        airflow.trigger(dag_id)
    for name, dag_id in SCHEDULED.items():
        airflow.wait_for_run(dag_id, seconds=400)
        assert cluster.hashes(root_of(airflow.machine), name) == local[name]
        cluster.wait_until_empty(name)
    assert "Hello, world!" in airflow.task_log("linear_flow", "hello")


@pytest.mark.timeout(400)
def test_a_deleted_pod_is_retried_and_the_result_is_right(cluster, airflow):
    """`kubectl delete pod` in the middle of a step: a second attempt, and nothing half-written is seen."""
    airflow.trigger("deleted_flow")
    pod = cluster.pod_of("DeletedFlow", "start", 200)
    assert pod["metadata"]["labels"]["airflow-conda-flow/attempt"] == "0"
    statement = "select 1 from task_instance where dag_id = 'deleted_flow' and state = 'deferred'"
    airflow.wait_for(lambda: airflow.query(statement), "deleted_flow")
    cluster.delete(pod)
    airflow.wait_for_run("deleted_flow")
    manifests = cluster.manifests(root_of(airflow.machine), "DeletedFlow")
    assert {key: each["status"] for key, each in manifests.items()} == {
        "start/0/0": "failed",
        "start/0/1": "done",
        "end/0/0": "done",
    }
    assert not manifests["start/0/0"]["artifacts"]
    log = airflow.task_log("deleted_flow", "start")
    assert re.search(r"Pod \S+ was (deleted|ended from outside) before its step ended\.", log), log
    assert log.count("attempt 1") == 1


@pytest.mark.timeout(400)
def test_a_cleared_task_deletes_its_pod(cluster, airflow):
    """A person clears a task that the triggerer waits for: its pod goes, and the next try has its own."""
    airflow.trigger("cleared_flow")
    pod = cluster.pod_of("ClearedFlow", "start", 200)
    statement = "select 1 from task_instance where dag_id = 'cleared_flow' and state = 'deferred'"
    airflow.wait_for(lambda: airflow.query(statement), "cleared_flow")
    done = airflow.machine.airflow("tasks", "clear", "cleared_flow", "--task-regex", "start", "--yes")
    assert done.returncode == 0, done.stdout
    airflow.wait_for_run("cleared_flow")
    cluster.wait_until_empty("ClearedFlow")
    manifests = cluster.manifests(root_of(airflow.machine), "ClearedFlow")
    states = {key: each["status"] for key, each in manifests.items()}
    # Perhaps nobody was left to say that the first one failed.
    assert states.pop("start/0/0", "lost") in {"failed", "lost"}
    assert states == {"start/0/1": "done", "end/0/0": "done"}
    assert f"Making pod {pod['metadata']['name']} " in airflow.task_log("cleared_flow", "start")


@pytest.mark.timeout(400)
def test_a_task_that_is_marked_ends_its_pod(cluster, airflow):
    """Deferred and on a worker; what the step's `finally` prints is in the log, and the pod goes."""
    mark_as_failed(airflow, lambda name: '"up"' in airflow.task_log(MARKED[name][0], "start"))
    for name in MARKED:
        cluster.wait_until_empty(name)
        manifests = cluster.manifests(root_of(airflow.machine), name)
        assert {key: each["status"] for key, each in manifests.items()} == {"start/0/0": "failed"}


@pytest.mark.timeout(400)
def test_a_worker_that_is_lost_does_not_start_a_second_pod(cluster, airflow):
    """The next try waits for the pod that is there, and shows its log from the beginning."""
    airflow.trigger("lost_flow")
    pod = cluster.pod_of("LostFlow", "start", 200)
    making = f"Making pod {pod['metadata']['name']} "
    airflow.wait_for(lambda: making in airflow.task_log("lost_flow", "start"), "lost_flow")
    os.kill(airflow.running_try("lost_flow", "start")[1], signal.SIGKILL)
    airflow.wait_for_run("lost_flow")
    manifests = cluster.manifests(root_of(airflow.machine), "LostFlow")
    assert set(manifests) == {"start/0/0", "end/0/0"}
    log = airflow.task_log("lost_flow", "start")
    assert f"Pod {pod['metadata']['name']} runs this step already; waiting for it." in log
    assert len(re.findall(r"Making pod", log)) == 1
    tries = airflow.query(
        "select try_number from task_instance where dag_id = 'lost_flow' and task_id = 'start'"
    )
    assert tries == [(2,)]
    cluster.wait_until_empty("LostFlow")


@pytest.mark.timeout(400)
def test_a_gang_whose_worker_is_lost_starts_again_as_one(cluster, airflow):
    """The pods of the first try are ended, those of the second find one another, and nothing is left."""
    cluster.clear("GangFlow")  # what an earlier try of this test has left
    airflow.trigger("gang_flow")
    pods = airflow.wait_for(lambda: _running(cluster, "GangFlow", 2), "gang_flow")
    os.kill(airflow.running_try("gang_flow", "train")[1], signal.SIGKILL)
    airflow.wait_for_run("gang_flow")
    manifests = cluster.manifests(root_of(airflow.machine), "GangFlow")
    assert [manifests[f"train/{node}/1"]["status"] for node in range(2)] == ["done", "done"]
    first = {manifests[key]["status"] for key in ("train/0/0", "train/1/0") if key in manifests}
    assert first <= {"failed", "lost"}
    log = airflow.task_log("gang_flow", "train")
    for pod in pods:
        assert f"Ending pod {pod['metadata']['name']} of an earlier try." in log
    cluster.wait_until_empty("GangFlow")


def _running(cluster, flow: str, count: int) -> list[dict]:
    """The flow's running pods if there are that many, else none."""
    found = [
        pod for pod in cluster.pods(f"airflow-conda-flow/flow={flow}") if pod["status"]["phase"] == "Running"
    ]
    return found if len(found) == count else []


@pytest.mark.timeout(600)
def test_splits_with_readable_names(cluster, airflow):
    """Mapped tasks, each a pod; the UI shows the value of each split."""
    airflow.trigger("wide_flow")
    airflow.wait_for_run("wide_flow", seconds=500)
    found = airflow.query(
        "select rendered_map_index from task_instance where dag_id = 'wide_flow' and task_id = 'square'"
    )
    assert {name for (name,) in found} == {f"n{n}" for n in range(16)}
    manifests = cluster.manifests(root_of(airflow.machine), "WideFlow")
    assert len(manifests) == 19
    cluster.wait_until_empty("WideFlow")
