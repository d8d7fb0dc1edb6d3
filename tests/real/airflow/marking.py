"""Steps that run as pods or jobs while a person marks their tasks as failed."""

from __future__ import annotations

from collections.abc import Callable

from ...parts.airflow_machine import AirflowMachine
from .standalone import Standalone

_TEXT = """
import os
os.environ.update(CONDA_FLOW_DEFERRABLE="{deferrable}", CONDA_FLOW_DEFER_AFTER="0")
import time
from airflow_conda_flow import {decorator}
class {name}(FlowSpec):
    @{decorator}
    @step
    def start(self):
        try:
            print("up", flush=True)
            time.sleep(300)
        finally:
            print("last words", flush=True)
        self.next(self.end)
    @step
    def end(self):
        pass

dag = {name}.dag(schedule=None, environment="local")
"""
MARKED = {
    "MarkedFlow": ("marked_flow", "deferred"),
    "MarkedOnWorkerFlow": ("marked_on_worker_flow", "running"),
}
"""Name of a flow -> the id of its DAG, and the state in which its task waits for the step."""


def write_marked_flows(machine: AirflowMachine, decorator: str) -> None:
    """Put the flows into the machine's DAG folder; their step runs where the decorator says."""
    for name, (_, state) in MARKED.items():
        text = _TEXT.format(name=name, deferrable=str(state == "deferred").lower(), decorator=decorator)
        machine.flow(text, f"{name.lower()}.py", machine.dags)


def mark_as_failed(airflow: Standalone, is_up: Callable[[str], bool]) -> None:
    """Run the flows, and mark each one's task when its step runs; what its `finally` prints is in the log.

    Args:
        airflow: where the flows are.
        is_up: tells whether the step of the flow of a name has printed "up".
    """
    state = "select 1 from task_instance where dag_id = ? and task_id = 'start' and state = ?"
    for dag_id, _ in MARKED.values():
        airflow.trigger(dag_id)
    for name, (dag_id, waiting) in MARKED.items():
        # Before the triggerer has taken a deferred task over, nobody hears that it was marked.
        airflow.wait_for(lambda name=name: is_up(name), dag_id)
        assert airflow.query(state, dag_id, waiting)
        path = f"dags/{dag_id}/dagRuns/{airflow.run_id(dag_id)}/taskInstances/start"
        airflow.ask("PATCH", path, {"new_state": "failed"})
    for dag_id, _ in MARKED.values():
        airflow.wait_for(lambda dag_id=dag_id: '"last words"' in airflow.task_log(dag_id, "start"), dag_id)
        airflow.wait_for_run(dag_id, state="failed")
        assert airflow.query(state, dag_id, "failed")
