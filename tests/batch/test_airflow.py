"""Flows as DAGs whose steps are jobs on Batch's real containers."""

from __future__ import annotations

import re

import pytest

from .flows import FLOWS, artifact_hashes, flow_name, runs_of

pytestmark = pytest.mark.xdist_group("batch")  # they share a Batch, and two processors


@pytest.mark.parametrize("name", FLOWS)
def test_dags_test_leaves_the_same_artifacts_as_local_processes(examples, name):
    """`airflow dags test`: by hash, every artifact of every task."""
    machine = examples.machine
    local = examples.local_hashes(name)
    before = runs_of(machine, flow_name(name))
    done = machine.airflow("dags", "test", name)
    assert done.returncode == 0, done.stdout
    (run_id,) = runs_of(machine, flow_name(name)) - before
    assert artifact_hashes(machine, run_id) == local
    assert "testsecret" not in done.stdout


def test_a_failing_step_says_why_in_its_log(airflow_machine):
    """The user's lines come out of CloudWatch; nothing of ours is in the traceback."""
    text = """
from airflow_conda_flow import batch
class AFlow(FlowSpec):
    @batch
    @step
    def start(self):
        print("a line of the step")
        raise ValueError("on purpose")
        self.next(self.end)
    @step
    def end(self):
        pass

dag = AFlow.dag(schedule=None, environment="local")
"""
    airflow_machine.flow(text, folder=airflow_machine.dags)
    done = airflow_machine.airflow("dags", "test", "a_flow")
    assert "a line of the step" in done.stdout
    assert re.search(r'File ".*a_flow\.py", line \d+, in start', done.stdout), done.stdout
    assert "Step start failed: ValueError: on purpose" in done.stdout
    assert artifact_hashes(airflow_machine) == {}


def test_a_queue_that_does_not_exist_fails_the_prepare_task(airflow_machine):
    """Before any step, and in one line."""
    airflow_machine.environ["CONDA_FLOW_BATCH_QUEUE"] = "none"
    airflow_machine.flow(
        """
from airflow_conda_flow import batch
class AFlow(FlowSpec):
    @batch
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        pass

dag = AFlow.dag(schedule=None, environment="local")
""",
        folder=airflow_machine.dags,
    )
    done = airflow_machine.airflow("dags", "test", "a_flow")
    assert "There is no job queue 'none' in us-east-1." in done.stdout
    assert "Batch job" not in done.stdout
