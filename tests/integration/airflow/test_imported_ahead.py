"""Imports of a process of Airflow at its start, which none of its forks then has to repeat."""

from __future__ import annotations

import json

import pytest

FLOW = """
from airflow_conda_flow import batch, kubernetes, parallel

class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.pod, self.job)

    @kubernetes
    @step
    def pod(self):
        self.next(self.join)

    @batch
    @step
    def job(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.train, num_parallel=2)

    @parallel
    @step
    def train(self):
        self.next(self.meet)

    @step
    def meet(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass

dag = AFlow.dag(schedule=None, environment="local")
"""
PROGRAM = """
import json, sys
from airflow.sdk.execution_time import task_runner
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models.dagbag import DagBag
from airflow_conda_flow.airflow import imported_ahead

def ours():
    return {name for name in sys.modules if name.startswith("airflow_conda_flow")}

before, path = ours(), sys.argv[1]
sys.argv = ["airflow", *sys.argv[2:]]
imported_ahead.on_starting(None)
ahead = ours()
bag = DagBag(path)
assert not bag.import_errors and len(bag.dags) == 1, bag.import_errors
print(json.dumps([sorted(ahead - before), sorted(ours() - ahead)]))
"""


@pytest.fixture
def imported(machine):
    """Modules that a command of Airflow imports at its start, and those that a DAG of every kind of step adds."""

    def ask(*command: str) -> list[list[str]]:
        file = machine.flow(FLOW, folder=machine.dags)
        done = machine.program(PROGRAM, str(file), *command)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return ask


@pytest.mark.parametrize("command", ["dag-processor", "scheduler"])
def test_forks_import_nothing_more(imported, command):
    """The DAG processor forks for each reading of a file, the scheduler with LocalExecutor for each task."""
    ahead, later = imported(command)
    operators = ("kubernetes", "batch", "gang", "step", "prepare")
    assert {f"airflow_conda_flow.airflow.operators.{name}" for name in operators} <= set(ahead)
    assert later == []


def test_a_process_that_does_not_fork_imports_nothing_ahead(imported):
    """Nor does one that reads no DAG file."""
    ahead, later = imported("triggerer")
    assert set(ahead) <= {"airflow_conda_flow.airflow.sdk"}  # which reads the configuration
    assert "airflow_conda_flow.airflow.dag.compiler" in later


def test_it_is_switched_off_where_airflow_is_told_so(imported, machine):
    """By Airflow's own setting for the imports of hand-written DAGs."""
    machine.environ["AIRFLOW__DAG_PROCESSOR__PARSING_PRE_IMPORT_MODULES"] = "False"
    ahead, _ = imported("dag-processor")
    assert set(ahead) <= {"airflow_conda_flow.airflow.sdk"}  # which reads the configuration
