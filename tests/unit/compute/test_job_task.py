"""A job that a thread follows: who ends it, and when."""

from __future__ import annotations

import threading

from airflow_conda_flow.compute.batch.board import JobBoard
from airflow_conda_flow.compute.batch.jobs import BatchRegion, JobTask
from airflow_conda_flow.compute.batch.log import Pace
from airflow_conda_flow.compute.batch.watched_job import WatchedJob
from airflow_conda_flow.errors import ComputeForbidden


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


class NothingIsEnded(FakeBatch):
    """One that refuses to end a job."""

    def terminate(self, job_id):
        raise ComputeForbidden(f"The job {job_id} cannot be ended: not authorized.")


def test_a_job_that_cannot_be_ended_is_said():
    """In the log of its task, by the worker and by the triggerer."""
    service = NothingIsEnded()
    region = BatchRegion(service, JobBoard(service), None, Pace())
    lines = []
    JobTask(region, lambda: "", None, 5.0, lines.append, list, "j-1").remove(wait=False)
    watched = WatchedJob(region, "j-1", None, 5.0, list)
    lines.append(watched.remove())
    watched.close()
    assert lines == ["The job j-1 cannot be ended: not authorized."] * 2
