"""Flows in a git repository: each DAG run runs the commit that it began with."""

from __future__ import annotations

import pytest

from ..git_bundle import BUNDLE, git, need_bundle, repository_of
from ..standalone import Standalone

DAG_ID = "versioned_flow"
FLOW = """
import time
from pathlib import Path

import beside

class VersionedFlow(FlowSpec):
    gate = Parameter("gate", default="")

    @step
    def start(self):
        print("RAN start", "{version}", beside.VERSION)
        self.next(self.wait)

    @step
    def wait(self):
        while not Path(self.gate).exists():
            time.sleep(0.1)
        self.next(self.end)

    @step
    def end(self):
        print("RAN end", "{version}", beside.VERSION)

dag = VersionedFlow.dag(schedule=None, environment="local")
"""


def commit(airflow: Standalone, version: str) -> str:
    """Commit a version of the flow and of the module beside it; returns the commit."""
    repository = repository_of(airflow.machine)
    airflow.machine.flow(FLOW.format(version=version), "versioned_flow.py", repository / "flows")
    (repository / "flows" / "beside.py").write_text(f'VERSION = "{version}"\n')
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", version)
    return git(repository, "rev-parse", "HEAD")


def wait_for_version(airflow: Standalone, version: str) -> None:
    """Until the DAG processor has read a commit."""
    statement = "select 1 from dag where dag_id = ? and bundle_name = ? and bundle_version = ?"
    airflow.wait_for(lambda: airflow.query(statement, DAG_ID, BUNDLE, version))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", [None], indirect=True, ids=["newest"])
def test_a_run_keeps_its_commit(running, tmp_path):
    """Whatever is pushed meanwhile; and when it is cleared, unless the newest is asked for."""
    need_bundle(running.machine)
    gate = tmp_path / "gate"
    wait_for_version(running, commit(running, "one"))
    running.trigger(DAG_ID, gate=str(gate))
    running.wait_for(lambda: "RAN start one one" in running.task_log(DAG_ID, "start"), DAG_ID)
    wait_for_version(running, commit(running, "two"))
    gate.touch()
    running.wait_for_run(DAG_ID)
    assert "RAN end one one" in running.task_log(DAG_ID, "end")

    running.clear(DAG_ID, "end")
    running.wait_for_run(DAG_ID)
    log = running.task_log(DAG_ID, "end")
    assert log.count("RAN end one one") == 2
    assert "The run was prepared with" not in log  # it is the code that the run was prepared with

    running.clear(DAG_ID, "end", newest=True)
    running.wait_for_run(DAG_ID)
    log = running.task_log(DAG_ID, "end")
    assert log.count("RAN end two two") == 1
    assert log.count("The run was prepared with") == 1

    running.trigger(DAG_ID, gate=str(gate))
    running.wait_for_run(DAG_ID)
    assert "RAN start two two" in running.task_log(DAG_ID, "start")
    assert "RAN end two two" in running.task_log(DAG_ID, "end")
