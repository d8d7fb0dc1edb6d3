"""The last reading of a job's log, where CloudWatch does not simply answer."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from airflow_conda_flow.compute.batch import log as batch_log
from airflow_conda_flow.compute.batch.board import JobBoard
from airflow_conda_flow.compute.batch.log import JobLog, Pace


class Logs:
    """CloudWatch, with so many pages of one line, which refuses its first readings."""

    class exceptions:  # noqa: N801  boto3's name
        """boto3's."""

        ClientError = ClientError

    def __init__(self, pages: int, refused: int = 0) -> None:
        self.pages = pages
        self.refused = refused

    def get_log_events(self, *, nextToken="0", **_):  # noqa: N803  boto3's name
        """A page, or ``ThrottlingException``."""
        if self.refused:
            self.refused -= 1
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "GetLogEvents")
        number = int(nextToken)
        if number == self.pages:
            return {"events": [], "nextForwardToken": nextToken}
        return {"events": [{"message": f"line {number}"}], "nextForwardToken": str(number + 1)}


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(batch_log, "_PAUSE", 0.0)


def test_the_last_reading_goes_to_the_end():
    """However many pages there are; a reading while the job runs leaves turns to other jobs."""
    log = JobLog(Logs(pages=50), "/group", Pace(1e6))
    assert log.read("stream") == [f"line {number}" for number in range(20)]
    assert log.read("stream", is_last=True) == [f"line {number}" for number in range(20, 50)]


def test_the_last_reading_asks_again():
    """A reading that is throttled gives no lines, but the last one loses none."""
    log = JobLog(Logs(pages=2, refused=4), "/group", Pace(1e6))
    assert log.read("stream") == []
    assert log.read("stream", is_last=True) == ["line 0", "line 1"]


def test_the_last_reading_does_not_ask_for_ever(monkeypatch):
    """Then it says where the rest is."""
    monkeypatch.setattr(batch_log, "_PATIENCE", 0.0)
    log = JobLog(Logs(pages=2, refused=10**9), "/group", Pace(1e6))
    assert log.read("stream", is_last=True) == [
        "CloudWatch is busy; more is in the log stream stream of /group."
    ]


def test_two_that_watch_one_job():
    """A try that waits for a job goes on when an earlier try, which watched it too, stops watching."""

    class Service:
        def describe(self, job_ids):
            return {job_id: {"jobId": job_id, "status": "RUNNING"} for job_id in job_ids}

    board = JobBoard(Service())
    with board.watched("j"):
        with board.watched("j"):
            assert board.look("j", 0.0)["status"] == "RUNNING"
        assert board.look("j", 0.0)["status"] == "RUNNING"
    assert board.look("j", 0.0) is None
