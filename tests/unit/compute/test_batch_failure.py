"""Why a job ended, in one line: the texts are those that AWS documents and shows."""

from __future__ import annotations

import pytest

from airflow_conda_flow.compute.batch.failure import describe_failure, end_of, failure_reason, is_ending


def make_job(status_reason=None, code=None, reason=None, status="FAILED", **more):
    """An entry of ``describe_jobs``."""
    container = {"exitCode": code, "reason": reason}
    return {
        "jobId": "j-1",
        "status": status,
        "statusReason": status_reason,
        "container": {key: value for key, value in container.items() if value is not None},
        **more,
    }


@pytest.mark.parametrize(
    ("job", "line"),
    [
        (
            make_job(
                "Essential container in task exited",
                137,
                "OutOfMemoryError: Container killed due to memory usage",
            ),
            (
                "the container ran out of memory; ask for more with memory= "
                "(OutOfMemoryError: Container killed due to memory usage)"
            ),
        ),
        (
            make_job("Host EC2 (instance i-0abc) terminated."),
            (
                "the machine that it ran on was terminated, as spot machines are; try again "
                "(Host EC2 (instance i-0abc) terminated)"
            ),
        ),
        (
            make_job("Your Spot Task was interrupted."),
            "its spot capacity was taken away; try again (Your Spot Task was interrupted)",
        ),
        (
            make_job("Job attempt duration exceeded timeout", 137),
            "it ran for longer than its time limit (Job attempt duration exceeded timeout)",
        ),
        (
            make_job(
                "Task failed to start",
                reason="CannotPullContainerError: Error response from daemon:\n manifest unknown",
            ),
            (
                "the image cannot be pulled; check image=, and that the execution role may read it "
                "(CannotPullContainerError: Error response from daemon: manifest unknown)"
            ),
        ),
        (
            make_job(
                "Task failed to start", attempts=[{"container": {"reason": "ResourceInitializationError: x"}}]
            ),
            (
                "the container cannot be set up; check the execution role, log_options= and volumes "
                "(ResourceInitializationError: x)"
            ),
        ),
        (make_job("Terminated by Ada"), "Terminated by Ada"),
        (
            make_job("Essential container in task exited", 137),
            "it was killed (exit code 137); often that is the container running out of memory",
        ),
    ],
)
def test_what_aws_knows(job, line):
    """Its meaning, what to do, and AWS's own words."""
    assert failure_reason(job) == line
    assert describe_failure(job) == f"Batch job j-1 failed: {line}."


@pytest.mark.parametrize(
    ("job", "line"),
    [
        (make_job("Essential container in task exited", 1), "its container ended with exit code 1"),
        (make_job(), "it never started"),
        (
            make_job(startedAt=1795547783256),
            "it ended without a word; its container was killed, or its machine was lost",
        ),
    ],
)
def test_what_aws_knows_nothing_of(job, line):
    """The step's own failure says it all; the line has what there is."""
    assert failure_reason(job) is None
    assert describe_failure(job) == f"Batch job j-1 failed: {line}."


def test_a_job_that_was_told_to_end_is_not_waited_for():
    """Neither AWS's marks nor our own words; a hint about the queue is none of both."""
    assert is_ending(make_job(status="RUNNING", isTerminated=True))
    assert is_ending(make_job(status="RUNNABLE", isCancelled=True))
    assert is_ending(make_job("Ended by airflow-conda-flow", status="RUNNING"))
    assert not is_ending(make_job("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE", status="RUNNABLE"))
    assert not is_ending(make_job(status="RUNNING"))


@pytest.mark.parametrize(
    ("job", "lost"),
    [
        (None, True),
        (make_job("Host EC2 (instance i-0123) terminated."), True),
        (make_job("Your Spot Task was interrupted."), True),
        (make_job(startedAt=1795547783256), True),
        (make_job(), False),
        (make_job("OutOfMemoryError: Container killed due to memory usage", 137), False),
        (make_job("Essential container in task exited", 1), False),
        (make_job("Job attempt duration exceeded timeout"), False),
        (make_job("CannotPullContainerError: no such image"), False),
    ],
)
def test_what_aws_has_taken_away(job, lost):
    """Such a job is tried again without @retry."""
    assert end_of(job, "j-1").is_lost is lost
