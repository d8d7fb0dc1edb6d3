"""A job that a thread follows: who ends it, and when."""

from __future__ import annotations

import threading

from airflow_conda_flow.compute.batch.board import JobBoard
from airflow_conda_flow.compute.batch.jobs import BatchRegion, JobTask
from airflow_conda_flow.compute.batch.log import Pace


class FakeBatch:
    """A service with one job, which ends when it is told to; a stand-in because no real one can be stopped so."""

    def __init__(self):
        self.status, self.told = "RUNNING", 0

    def describe(self, job_ids):
        return {job_id: {"jobId": job_id, "jobName": "n", "status": self.status} for job_id in job_ids}

    def terminate(self, _job_id):
        self.told += 1
        self.status = "FAILED"


def test_a_job_is_ended_by_remove_alone():
    """A worker that is shut down follows it no longer, and leaves it to the next try."""
    service = FakeBatch()
    lines = []
    job = JobTask(
        BatchRegion(service, JobBoard(service), None, Pace()), lambda: "j-1", None, 5.0, lines.append, list
    )
    assert job.title == ""
    job.start()
    assert job.title == "job j-1"
    cancel = threading.Event()
    cancel.set()
    job.follow(cancel, lambda: False)
    assert (service.told, job.is_over) == (0, False)
    job.remove(wait=True)
    assert (service.told, job.is_over) == (1, True)
    job.remove(wait=True)
    assert service.told == 1
    assert lines == ["Job is RUNNING."]
