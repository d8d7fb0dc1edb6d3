"""Attempts whose datastore is S3."""

from __future__ import annotations

import pytest

from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.datastore.logs import read_log
from airflow_conda_flow.records.names import TaskName


@pytest.mark.parametrize("server", ["moto", "rclone"])
def test_attempts_over_s3(request, make_run, tmp_path, monkeypatch, server):
    """A machine with an empty cache directory reads what another machine stored."""
    s3 = request.getfixturevalue(f"{server}_s3")
    s3.use(monkeypatch)
    root = s3.make_root()
    run = make_run(
        """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.big = b"x" * 3_000_000
        self.small = 1
        self.next(self.end)
    @step
    def end(self):
        self.total = len(self.big) + self.small
        print("done")
""",
        datastore=open_datastore("s3", root, tmp_path / "one"),
    )
    run.done("start", sources=None)
    run.datastore = open_datastore("s3", root, tmp_path / "two")
    run.manifest = None  # read from S3
    end = TaskName("AFlow", "1", "end", "0")
    result = run.done("end", sources=None)
    assert run.value(result, "total") == 3_000_001
    assert read_log(run.datastore.storage, end.attempt(0), "stdout") == b"done\n"
