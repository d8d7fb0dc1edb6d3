"""Steps that run as pods or jobs while a person marks their tasks as failed."""

from __future__ import annotations

from collections.abc import Callable

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.records.names import TaskName

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
            time.sleep(1000)
        finally:
            time.sleep({seconds})
            print("last words", flush=True)
        self.next(self.end)
    @step
    def end(self):
        pass

dag = {name}.dag(schedule=None, environment="local")
"""
_LATE = 4
"""Seconds after its end was asked for in which a deferred step prints its last words: Airflow cancels its trigger again
in each of them. On a worker they are at once: Airflow kills the task's process after 5 s."""


def marked_flows(decorator: str) -> dict[str, tuple[str, str]]:
    """Name of a flow -> the id of its DAG, and the state in which its task waits for the step.

    Args:
        decorator: where the step runs.
    """
    return {
        f"Marked{decorator.title()}Flow": (f"marked_{decorator}_flow", "deferred"),
        f"Marked{decorator.title()}OnWorkerFlow": (f"marked_{decorator}_on_worker_flow", "running"),
    }


def write_marked_flows(machine: AirflowMachine, decorator: str) -> None:
    """Put the flows into the machine's DAG folder; their step runs where the decorator says."""
    for name, (dag_id, state) in marked_flows(decorator).items():
        is_deferred = state == "deferred"
        text = _TEXT.format(
            name=name,
            deferrable=str(is_deferred).lower(),
            decorator=decorator,
            seconds=_LATE if is_deferred else 0,
        )
        machine.flow(text, f"{dag_id}.py", machine.dags)


def mark_as_failed(airflow: Standalone, decorator: str, is_up: Callable[[str], bool]) -> None:
    """Run the flows, and mark each one's task when its step runs; what its `finally` prints is in the log.

    A busy cluster may take longer than the 5 s that Airflow gives a worker: the log then says where the lines are.

    Args:
        airflow: where the flows are.
        decorator: where their step runs.
        is_up: tells whether the step of the flow of a name has printed "up".
    """
    state = "select 1 from task_instance where dag_id = ? and task_id = 'start' and state = ?"
    marked = marked_flows(decorator)
    for dag_id, _ in marked.values():
        airflow.trigger(dag_id)
    for name, (dag_id, waiting) in marked.items():
        # Before the triggerer has taken a deferred task over, nobody hears that it was marked.
        airflow.wait_for(lambda name=name: is_up(name), dag_id)
        assert airflow.query(state, dag_id, waiting)
        path = f"dags/{dag_id}/dagRuns/{airflow.run_id(dag_id)}/taskInstances/start"
        airflow.ask("PATCH", path, {"new_state": "failed"})
    for name, (dag_id, waiting) in marked.items():
        path = f"{airflow.flow_run_id(dag_id)}/start"
        enough = (
            {'"last words"'} if waiting == "deferred" else {'"last words"', f"python <flow file> logs {path}"}
        )
        airflow.wait_for(lambda dag_id=dag_id, enough=enough: _has_one(airflow, dag_id, enough), dag_id)
        airflow.wait_for(
            lambda name=name, path=path: b"last words" in _stored(airflow, f"{name}/{path}"), dag_id
        )
        airflow.wait_for_run(dag_id, state="failed")
        assert airflow.query(state, dag_id, "failed")


def _has_one(airflow: Standalone, dag_id: str, texts: set[str]) -> bool:
    log = airflow.task_log(dag_id, "start")
    return any(text in log for text in texts)


def _stored(airflow: Standalone, step: str) -> bytes:
    """The lines that the datastore has of the task of a step."""
    storage = S3Storage(airflow.machine.environ["CONDA_FLOW_DATASTORE_ROOT"], airflow.machine.s3)
    key = layout.task_log(TaskName(*step.split("/"), "start-0").attempt(0), "stdout")
    return storage.read_bytes(key) if storage.exists(key) else b""
