"""Older versions of Airflow: a step as a job under ``airflow dags test``, handed over to a trigger."""

from __future__ import annotations

import pytest

from ...batch.flows import artifact_hashes

FLOW = """
from airflow_conda_flow import batch
class AFlow(FlowSpec):
    @batch
    @step
    def start(self):
        print("hello", flush=True)
        self.value = 7
        self.next(self.end)
    @step
    def end(self):
        pass

dag = AFlow.dag(schedule=None, environment="local")
"""


@pytest.mark.timeout(400)
def test_a_job_with_each_version(batch, tmp_path, version):
    """Its lines are in the log, and its artifacts are stored."""
    environ = {"CONDA_FLOW_DEFERRABLE": "true", "CONDA_FLOW_DEFER_AFTER": "0"}
    machine = version.machine(tmp_path / "home", None, **batch.environ(), **environ)
    machine.s3 = batch.client("s3")
    machine.flow(FLOW, folder=machine.dags)
    done = machine.airflow("dags", "test", "a_flow")
    assert done.returncode == 0, done.stdout
    assert "hello" in done.stdout
    assert "DEFERRED" in done.stdout
    hashes = artifact_hashes(machine)
    assert set(hashes) == {"start/0", "end/0"}
    assert hashes["end/0"]["value"] == hashes["start/0"]["value"]
