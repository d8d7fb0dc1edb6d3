"""@retry, @catch and @timeout as Airflow's retries and limits."""

from __future__ import annotations

import json
import re

import pytest

from ..airflow.standalone import standalone

FLOW = """
from airflow_conda_flow import catch, retry, timeout
import time
class AFlow(FlowSpec):
    @catch(var="problem")
    @retry(times=1, minutes_between_retries=0.05)
    @step
    def start(self):
        self.count = current.retry_count
        print("STARTED", current.retry_count)
        raise ValueError("on purpose")
        self.next(self.late)
    @catch(var="late_problem", print_exception=False)
    @timeout(seconds=1)
    @step
    def late(self):
        print("SEEN", self.count, self.problem.exception, self.problem.type)
        time.sleep(100)
        self.next(self.end)
    @step
    def end(self):
        print("LATE", self.late_problem.type, self.late_problem.exception)

dag = AFlow.dag(schedule=None, environment="local")
"""
HOOKED = """
from airflow_conda_flow import exit_hook
def tell(run):
    from pathlib import Path
    (task,) = run["start"]
    Path("PATH").write_text(f"{run.pathspec}: start {'done' if task.successful else 'failed'}")
def broken():
    raise ValueError("the hook's own")
@exit_hook(on_error=[broken, tell])
class AFlow(FlowSpec):
    @step
    def start(self):
        raise ValueError("on purpose")
        self.next(self.end)
    @step
    def end(self):
        pass

dag = AFlow.dag(dag_id="hooked", schedule=None, environment="local")
"""
DESCRIBE = """
import os
from airflow.dag_processing.dagbag import DagBag
dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["a_flow"]
for task in dag.tasks:
    print(task.task_id, task.retries, task.retry_delay, task.execution_timeout)
"""


def test_decorators_are_arguments_of_the_operators(airflow_machine):
    """Retries, their delay, and a limit with room for code and environment."""
    airflow_machine.flow(FLOW, folder=airflow_machine.dags)
    said = airflow_machine.python(DESCRIBE)
    assert "start 1 0:00:03 None" in said
    assert "late 0 0:05:00 0:15:01" in said


def test_dags_test_catches_after_the_last_try(airflow_machine):
    """The first try fails, the second is caught, a step that takes too long too, and the run succeeds."""
    airflow_machine.flow(FLOW, folder=airflow_machine.dags)
    done = airflow_machine.airflow("dags", "test", "a_flow")
    assert done.returncode == 0, done.stdout
    assert "STARTED 0" in done.stdout
    assert "STARTED 1" in done.stdout
    assert "SEEN 1 on purpose builtins.ValueError" in done.stdout
    late = "LATE airflow_conda_flow.errors.TimeoutException Step late timed out after 0 hours, 0 minutes, 1 seconds"
    assert late in done.stdout


@pytest.mark.timeout(280)
def test_the_scheduler_retries_after_the_delay(airflow_machine):
    """A real scheduler: the second try starts no sooner than the delay says, and is the one that is caught.

    The exit hook of another flow, whose step fails, is told; its DAG run has failed in spite of that task.
    """
    airflow_machine.flow(FLOW, folder=airflow_machine.dags)
    hooked = HOOKED.replace("PATH", str(airflow_machine.home / "hooked"))
    airflow_machine.flow(hooked, name="hooked.py", folder=airflow_machine.dags)
    with standalone(airflow_machine) as airflow:
        airflow.trigger("a_flow")
        airflow.trigger("hooked")
        airflow.wait_for_run("a_flow")
        airflow.wait_for_run("hooked", "failed")
    told = (airflow_machine.home / "hooked").read_text()
    assert re.fullmatch(r"AFlow/run-[\w-]+: start failed", told), told
    (run,) = (path.parents[2] for path in airflow_machine.datastore.glob("flows/AFlow/run-*/end/0/0.json"))
    end = run / "end/0/0.json"
    first, second = (json.loads((run / f"start/0/{n}.json").read_text()) for n in range(2))
    assert [first["status"], second["status"]] == ["failed", "done"]
    assert _seconds(second["started"]) - _seconds(first["finished"]) >= 3
    assert json.loads(end.read_text())["status"] == "done"


def _seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()
