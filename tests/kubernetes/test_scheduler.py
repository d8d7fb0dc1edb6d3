"""Steps as pods of a real cluster under Airflow's scheduler, with its triggerer and its retries."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ..airflow.conftest import AIRFLOW, AirflowMachine
from ..datastore.s3_servers import free_port
from ..process_group import end_group
from .conftest import root_of

pytestmark = pytest.mark.xdist_group("scheduler-with-pods")  # one Airflow for all of them

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
FIFTY = """
from airflow_conda_flow import kubernetes
class FiftyFlow(FlowSpec):
    @step
    def start(self):
        self.items = ["n%d" % n for n in range(50)]
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

dag = FiftyFlow.dag(schedule=None, environment="local")
"""


class Scheduler:
    """A running Airflow.

    Attributes:
        machine: where it runs.
        log: what it prints.
    """

    def __init__(self, machine: AirflowMachine, log: Path) -> None:
        self.machine = machine
        self.log = log

    def query(self, statement: str, *values: str) -> list[tuple]:
        """The answer of Airflow's database."""
        path = self.machine.home / "airflow" / "airflow.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
            return database.execute(statement, values).fetchall()

    def trigger(self, dag_id: str, seconds: float = 200) -> None:
        """Start a run of a DAG, once it is known."""
        deadline = time.monotonic() + seconds
        while not self.query("select 1 from dag where dag_id = ?", dag_id):
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.5)
        done = self.machine.airflow("dags", "trigger", dag_id)
        assert done.returncode == 0, done.stdout
        done = self.machine.airflow("dags", "unpause", dag_id, "--yes")
        assert done.returncode == 0, done.stdout

    def wait_for(self, dag_id: str, state: str = "success", seconds: float = 250) -> None:
        """Return when the only run of a DAG has ended, in this state."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.query("select state from dag_run where dag_id = ?", dag_id)
            if found and found[0][0] in {"success", "failed"}:
                assert found == [(state,)], self.log_of(dag_id)
                return
            assert time.monotonic() < deadline, self.log_of(dag_id) or self.log.read_text()[-3000:]
            time.sleep(0.5)

    def log_of(self, dag_id: str, task: str = "") -> str:
        """All task logs of a DAG, or of one of its tasks."""
        folder = self.machine.home / "airflow" / "logs" / f"dag_id={dag_id}"
        return "".join(path.read_text() for path in sorted(folder.rglob("*.log*")) if task in str(path))


@pytest.fixture(scope="module")
def scheduler(cluster, channel, database, shared_root, node_cache, tmp_path_factory) -> Iterator[Scheduler]:
    """Airflow with all its processes, and every flow of these tests in its DAG folder."""
    port = str(free_port())
    home = tmp_path_factory.mktemp("scheduler")
    machine = AirflowMachine(
        home / "home",
        channel.url,
        database,
        **cluster.environ(shared_root),
        CONDA_FLOW_KUBERNETES_NODE_CACHE=str(node_cache),
        AIRFLOW__API__PORT=port,
        AIRFLOW__API__BASE_URL=f"http://127.0.0.1:{port}",
        AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"http://127.0.0.1:{port}/execution/",
        AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT=str(free_port()),
        AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT=str(free_port()),
        AIRFLOW__CORE__PARALLELISM="8",
        AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG="64",
    )
    machine.environ["PATH"] = f"{AIRFLOW.parent}:{machine.environ['PATH']}"
    not_deferred = 'import os\nos.environ["CONDA_FLOW_DEFERRABLE"] = "false"'
    for name, before, seconds, retries in (
        ("DeletedFlow", "", 200, 1),
        ("LostFlow", not_deferred, 40, 1),
    ):
        text = RETRIED.format(name=name, before=before, seconds=seconds, retries=retries)
        machine.flow(text, f"{name.lower()}.py", machine.dags)
    machine.flow(FIFTY, "fifty_flow.py", machine.dags)
    log = home / "standalone.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(AIRFLOW), "standalone"],
            env=machine.environ,
            cwd=machine.home,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Scheduler(machine, log)
        finally:
            end_group(process)


@pytest.mark.timeout(400)
def test_a_deleted_pod_is_retried_and_the_result_is_right(cluster, scheduler):
    """`kubectl delete pod` in the middle of a step: a second attempt, and nothing half-written is seen."""
    scheduler.trigger("deleted_flow")
    pod = cluster.pod_of("DeletedFlow", "start", 200)
    assert pod["metadata"]["labels"]["airflow-conda-flow/attempt"] == "0"
    cluster.delete(pod)
    scheduler.wait_for("deleted_flow")
    manifests = cluster.manifests(root_of(scheduler.machine), "DeletedFlow")
    assert {key: each["status"] for key, each in manifests.items()} == {
        "start/0/0": "failed",
        "start/0/1": "done",
        "end/0/0": "done",
    }
    assert not manifests["start/0/0"]["artifacts"]
    log = scheduler.log_of("deleted_flow", "task_id=start")
    assert re.search(r"Pod \S+ was (deleted|ended from outside) before its step ended\.", log), log
    assert log.count("attempt 1") == 1


@pytest.mark.timeout(400)
def test_a_worker_that_is_lost_does_not_start_a_second_pod(cluster, scheduler):
    """The next try waits for the pod that is there, and shows its log from the beginning."""
    scheduler.trigger("lost_flow")
    pod = cluster.pod_of("LostFlow", "start", 200)
    time.sleep(2)
    statement = "select pid from task_instance where dag_id = 'lost_flow' and task_id = 'start'"
    ((pid,),) = scheduler.query(statement)
    os.kill(pid, signal.SIGKILL)
    scheduler.wait_for("lost_flow")
    manifests = cluster.manifests(root_of(scheduler.machine), "LostFlow")
    assert set(manifests) == {"start/0/0", "end/0/0"}
    log = scheduler.log_of("lost_flow", "task_id=start")
    assert f"Pod {pod['metadata']['name']} runs this step already; waiting for it." in log
    assert len(re.findall(r"Making pod", log)) == 1
    tries = scheduler.query(
        "select try_number from task_instance where dag_id = 'lost_flow' and task_id = 'start'"
    )
    assert tries == [(2,)]
    cluster.wait_until_empty("LostFlow")


@pytest.mark.timeout(600)
def test_fifty_splits_with_readable_names(cluster, scheduler):
    """Fifty mapped tasks, each a pod; the UI shows the value of each split."""
    scheduler.trigger("fifty_flow")
    scheduler.wait_for("fifty_flow", seconds=500)
    found = scheduler.query(
        "select rendered_map_index from task_instance where dag_id = 'fifty_flow' and task_id = 'square'"
    )
    assert {name for (name,) in found} == {f"n{n}" for n in range(50)}
    manifests = cluster.manifests(root_of(scheduler.machine), "FiftyFlow")
    assert len(manifests) == 53
    cluster.wait_until_empty("FiftyFlow")
