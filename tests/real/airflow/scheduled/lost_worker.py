"""A flow whose step runs as a pod or a job until a test lets it end, while its task stays on a worker."""

from __future__ import annotations

from ....parts.airflow_machine import AirflowMachine
from ..standalone import Standalone

_TEXT = """
import os
os.environ["CONDA_FLOW_DEFERRABLE"] = "false"
import time
from datetime import timedelta
from airflow_conda_flow import S3, {decorator}
class {name}(FlowSpec):
    @{decorator}
    @step
    def start(self):
        with S3(s3root="{ends}") as s3:
            while not s3.get(current.run_id, return_missing=True).exists:
                time.sleep(0.5)
        self.next(self.end)
    @step
    def end(self):
        pass

dag = {name}.dag(
    schedule=None, environment="local", default_args={{"retries": 1, "retry_delay": timedelta(seconds=1)}}
)
"""


def write_lost_flow(machine: AirflowMachine, name: str, decorator: str) -> None:
    """Put the flow of this name into the machine's DAG folder; its step runs where the decorator says."""
    text = _TEXT.format(name=name, decorator=decorator, ends=_ends(machine))
    machine.flow(text, f"{name.lower()}.py", machine.dags)


def let_end(airflow: Standalone, dag_id: str) -> None:
    """Let the step of the run that was triggered last end."""
    bucket, _, prefix = _ends(airflow.machine).removeprefix("s3://").partition("/")
    key = f"{prefix}/{airflow.flow_run_id(dag_id)}"
    airflow.machine.s3.put_object(Bucket=bucket, Key=key, Body=b"")


def _ends(machine: AirflowMachine) -> str:
    """Where an object with the name of a run lets its step end."""
    return f"{machine.environ['CONDA_FLOW_DATASTORE_ROOT']}/ends"
