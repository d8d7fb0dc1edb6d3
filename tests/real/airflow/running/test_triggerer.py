"""Remote steps that end in Airflow's triggerer, on toys: nothing goes back to a worker that need not."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from airflow_conda_flow.datastore.s3_storage import S3Storage

from ....parts.airflow_machine import AirflowMachine
from ....parts.toys import what_is_left
from ..standalone import Standalone

WAITING = """
import os
import time
from pathlib import Path
os.environ["CONDA_FLOW_DEFERRABLE"] = "{deferrable}"
from toy_place import toy
class {name}(FlowSpec):
    {decorator}
    @step
    def start(self):
        try:
            print("up", flush=True)
            while not Path("{folder}/go-on").exists():
                time.sleep(0.1)
        finally:
            time.sleep(1.5)  # Airflow cancels a trigger again after a second
            print("last words", flush=True)
        self.tries = current.retry_count
        self.next(self.end)
    @step
    def end(self):
        pass

dag = {name}.dag(schedule=None, environment="local")
"""
CHATTY = """
import sys
forked = "airflow" in sys.modules
known = "kubernetes.client" in sys.modules
if forked:
    print("The clients of pods are imported:", known)
from toy_place import toy
class ChattyFlow(FlowSpec):
    @toy
    @step
    def start(self):
        for number in range(2000):
            print("number", number, "x" * 40)
        self.next(self.end)
    @toy
    @step
    def end(self):
        pass

dag = ChattyFlow.dag(schedule=None, environment="local", tags=[f'imported: {known}'])
"""
LISTENS = """
from airflow_conda_flow import trigger_on_finish
@trigger_on_finish(flow="ToyFlow")
class ListensFlow(FlowSpec):
    @step(start=True, end=True)
    def only(self):
        pass

dag = ListensFlow.dag(environment="local")
"""
FLOWS = {
    "ShutToyFlow": ("false", "@toy"),
    "ShutLocalFlow": ("false", ""),
    "MarkedFlow": ("true", "@toy"),
    "MarkedOnWorkerFlow": ("false", "@toy"),
    "MarkedLocalFlow": ("false", ""),
}


@pytest.fixture(scope="module")
def airflow(running) -> Standalone:
    """The running Airflow, with the flows of this file."""
    machine = running.machine
    for name, (deferrable, decorator) in FLOWS.items():
        text = WAITING.format(name=name, deferrable=deferrable, decorator=decorator, folder=machine.home)
        machine.flow(text, f"{name.lower()}.py", machine.dags)
    machine.flow(CHATTY, "chattyflow.py", machine.dags)
    machine.flow(LISTENS, "listensflow.py", machine.dags)
    return running


@pytest.mark.timeout(600)
def test_tasks_end_in_the_triggerer(airflow, version, moto_s3, root, monkeypatch):
    """Splits, ways, a retry, lost and caught attempts: as on the command line, and mostly without a second worker."""
    moto_s3.use(monkeypatch)
    machine = airflow.machine
    words = ("run", "--letters", "a b")
    done = machine.run(
        machine.dags / "toy_flow.py", *words, CONDA_FLOW_TOY_BOX=str(machine.home / "local-toys")
    )
    assert done.returncode == 0, done.stderr
    airflow.wait_for(lambda: airflow.query("select 1 from asset where name = 'conda_flow.ToyFlow.end'"))
    airflow.trigger("toy_flow", letters="a b")
    airflow.wait_for_run("toy_flow", seconds=500)
    left = what_is_left(S3Storage(root, moto_s3.make_client()))
    assert left["airflow"] == left["local"]
    log = airflow.task_log("toy_flow")
    run_id = airflow.run_id("toy_flow")
    tries = airflow.query(
        "select task_id, map_index, try_number, rendered_map_index, state from task_instance "
        "where dag_id = 'toy_flow' and run_id = ? order by task_id, map_index",
        run_id,
    )
    # Older versions may start a task before its scheduler has stored that it is queued, and fail such a try
    # without a line of log. Tries that have begun are what counts.
    by_task = {
        (task, index): (number if version is None else airflow.tries_begun("toy_flow", task, index), name)
        for task, index, number, name, _ in tries
    }
    # The start opens a foreach, which a mapped task follows; choose is a switch; broken is caught from outside.
    assert by_task["start", -1][0] == 1
    has_names = version is None or version.airflow >= "3.2"
    assert [by_task["inner", index] for index in range(2)] == [
        (1, name if has_names else None) for name in ("a", "b")
    ]
    # A failed try of an older Airflow goes back to a worker, and may meet the scheduler's race: one more try.
    more = 0 if version is None else 1
    assert by_task["choose", 2][0] in range(2, 3 + more)
    assert [by_task["choose", index][0] for index in (0, 1, 3)] == [1] * 3
    assert by_task["choose", 0][1] == ("a / 3" if has_names else None)
    assert by_task["broken", -1][0] in range(3, 4 + 2 * more)
    skipped = [(task, index) for task, index, _, _, state in tries if state == "skipped"]
    assert skipped == [*(("left", n) for n in (1, 3)), *(("right", n) for n in (0, 2))]
    # An arm that was not taken starts no worker, so it has no log.
    for task, index in skipped:
        folder = (
            machine.home / "airflow" / "logs" / "dag_id=toy_flow" / f"run_id={run_id}" / f"task_id={task}"
        )
        assert not list(folder.glob(f"map_index={index}/*"))
    # 1 start, 2 inner, 4 choose, 2 left, broken; one failure of choose, two lost attempts of broken.
    ends = [line for line in log.splitlines() if "airflow.triggers.step.StepTrigger" in line]
    assert sum("The step is done." in line for line in ends) == 1 + 2 + 4 + 2 + 1
    # Another DAG listens to the end, of which workers alone tell Airflow. Before 3.3 they also fail what is tried
    # again.
    failed_there = 1 + 2 if version is None else 0
    assert sum('"event":"Step ' in line for line in ends) == failed_there, ends
    assert sum("A worker ends this task." in line for line in ends) == 1 + 3 - failed_there
    assert version is not None or "state attribute is" not in log
    for line in ("start prints", "ValueError: only the first time", "Toy 0 was taken away."):
        assert line in log
    events = "select count(*) from asset_event where source_dag_id = 'toy_flow' and source_run_id = ?"
    assert airflow.query(events, run_id) == [(1,)]


@pytest.mark.timeout(300)
def test_the_log_has_every_line(airflow):
    """Lines that a step prints at its very end: Airflow drops those it has not read when the task ends.

    Also, the DAG processor and the scheduler import the operator of pods before they fork.
    """
    airflow.trigger("chatty_flow")
    airflow.wait_for_run("chatty_flow")
    tags = airflow.query("select name from dag_tag where dag_id = 'chatty_flow'")
    assert ("imported: True",) in tags
    log = airflow.task_log("chatty_flow", "start")
    assert set(re.findall(r"clients of pods are imported: (\w+)", log)) == {"True"}
    assert re.findall(r'"number (\d+) x{40}"', log) == [str(number) for number in range(2000)]


@pytest.mark.timeout(300)
def test_an_end_that_nobody_listens_to_ends_in_the_triggerer(airflow):
    """No second worker starts to tell Airflow of an asset that no DAG refers to."""
    airflow.trigger("chatty_flow")
    airflow.wait_for_run("chatty_flow")
    log = airflow.task_log("chatty_flow", "end")
    assert "The step is done." in log
    assert "A worker ends this task." not in log


def dag_of(flow: str) -> str:
    """The id of a flow's DAG."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in flow).strip("_")


def toys_of(machine: AirflowMachine, flow: str) -> list[Path]:
    """The folders of the toys of a flow's first step, one for each attempt."""
    return sorted((machine.home / "toys" / flow).glob("*-start-0/*"))


def is_alive(toy: Path) -> bool:
    """Whether the toy plays."""
    return (
        (toy / "pid").exists()
        and not (toy / "code").exists()
        and Path(f"/proc/{(toy / 'pid').read_text()}").exists()
    )


@pytest.mark.parametrize(
    ("flow", "left"),
    [("ShutToyFlow", {"start/0"}), ("ShutLocalFlow", {"start/0", "start/0/0.json"})],
)
@pytest.mark.timeout(300)
def test_a_worker_that_is_shut_down(airflow, moto_s3, root, flow, left, monkeypatch):
    """Its toy goes on, and the next try waits for it; a local step is tried again. Neither has a @retry."""
    moto_s3.use(monkeypatch)
    go_on = airflow.machine.home / "go-on"
    go_on.unlink(missing_ok=True)
    dag_id = dag_of(flow)
    airflow.trigger(dag_id)
    airflow.wait_for(lambda: '"up"' in airflow.task_log(dag_id, "start"), dag_id)
    number, pid = airflow.running_try(dag_id, "start")
    os.kill(pid, signal.SIGTERM)
    airflow.wait_for(lambda: airflow.running_try(dag_id, "start")[0] > number, dag_id)
    go_on.touch()
    airflow.wait_for_run(dag_id)
    found = what_is_left(S3Storage(root, moto_s3.make_client()), flow)["airflow"]
    assert set(found) == {*left, "end/0"}
    assert found.get("start/0/0.json", {}) in ({}, {"failed": "TaskLost"})
    assert len(toys_of(airflow.machine, flow)) == (1 if flow == "ShutToyFlow" else 0)


@pytest.mark.parametrize("flow", ["MarkedFlow", "MarkedOnWorkerFlow", "MarkedLocalFlow"])
@pytest.mark.timeout(300)
def test_a_task_that_is_marked_ends_its_step(airflow, flow):
    """In the triggerer and on a worker; its `finally` has run, and the task stays what it was marked."""
    (airflow.machine.home / "go-on").unlink(missing_ok=True)
    dag_id = dag_of(flow)
    airflow.trigger(dag_id)
    state = "deferred" if flow == "MarkedFlow" else "running"
    statement = "select run_id from task_instance where dag_id = ? and task_id = 'start' and state = ?"
    ((run_id,),) = airflow.wait_for(lambda: airflow.query(statement, dag_id, state), dag_id)
    # Before the triggerer has taken a deferred task over, nobody hears that it was marked.
    airflow.wait_for(lambda: '"up"' in airflow.task_log(dag_id, "start"), dag_id)
    path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/start"
    airflow.ask("PATCH", path, {"new_state": "failed"})
    airflow.wait_for(lambda: '"last words"' in airflow.task_log(dag_id, "start"), dag_id)
    toys = toys_of(airflow.machine, flow)
    assert len(toys) == (0 if flow == "MarkedLocalFlow" else 1)
    airflow.wait_for(lambda: not any(map(is_alive, toys)), dag_id)
    airflow.wait_for_run(dag_id, state="failed")
    assert toys_of(airflow.machine, flow) == toys
    states = "select state from task_instance where dag_id = ? and task_id = 'start'"
    assert airflow.query(states, dag_id) == [("failed",)]
