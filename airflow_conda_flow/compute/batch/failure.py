"""One-line reasons for the end of a job on AWS Batch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow_conda_flow.compute.remote_attempt import End

ENDED = "Ended by airflow-conda-flow"
"""Reason that we give AWS when we terminate a job; ``is_ending`` recognises our own terminations by it."""
_KILLED, _NO_PROGRAM = 137, 127  # 128 + SIGKILL; "command not found" in a shell
# AWS writes this for every container that ends, so it explains nothing.
_ORDINARY = re.compile(r"essential container in task exited", re.IGNORECASE)
# Text of AWS -> (meaning, fix). The first match counts, so specific patterns come before general ones.
# https://docs.aws.amazon.com/batch/latest/userguide/troubleshooting.html
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
MEANINGS = (
    (r"OutOfMemory", "the container ran out of memory; ask for more with memory="),
    (r"Host EC2 .*terminated", "the machine that it ran on was terminated, as spot machines are; try again"),
    (r"spot task was interrupted|SpotInterruption", "its spot capacity was taken away; try again"),
    (r"Job attempt duration exceeded timeout", "it ran for longer than its time limit"),
    (
        r"CannotPull(Image|Container)|manifest (unknown|for .* not found)|pull access denied",
        "the image cannot be pulled; check image=, and that the execution role may read it",
    ),
    (
        r"ResourceInitializationError",
        "the container cannot be set up; check the execution role, log_options= and volumes",
    ),
    (
        r"CannotStartContainer|CannotCreateContainer|ContainerRuntimeError",
        "the container cannot be started; check the image and the volumes",
    ),
    (
        r"MISCONFIGURATION:(JOB_RESOURCE_REQUIREMENT|COMPUTE_ENVIRONMENT_MAX_RESOURCE)",
        "no machine of the queue is large enough; ask for less cpu=, memory= or gpu=",
    ),
    (r"MISCONFIGURATION", "the queue or its compute environment cannot run it"),
)
_TAKEN_AWAY = (r"Host EC2 .*terminated", r"spot task was interrupted|SpotInterruption")
"""Texts of AWS for a machine that was taken away from its job."""


def failure_reason(job: Mapping[str, Any]) -> str | None:
    """Reason that AWS gives for a failure, in one line; None if it reports nothing but an ordinary exit.

    Args:
        job: an entry of ``describe_jobs``.
    """
    said = [text for text in _texts(job) if not _ORDINARY.search(text)]
    code = exit_code(job)
    for text in said:
        for pattern, meaning in MEANINGS:
            if re.search(pattern, text, re.IGNORECASE):
                return f"{meaning} ({_one_line(text)})"
    if said:
        return _one_line(said[0])
    if code == _KILLED:
        return "it was killed (exit code 137); often that is the container running out of memory"
    if code == _NO_PROGRAM:
        return "its image does not hold the runner; see docs/containers.md (exit code 127)"
    return None


def was_taken_away(job: Mapping[str, Any] | None) -> bool:
    """True if AWS took the job's machine away or lost the job, so that its step did nothing wrong.

    Args:
        job: an entry of ``describe_jobs``; None if Batch does not know the job.
    """
    if job is None:
        return True
    said = _texts(job)
    if any(re.search(pattern, text, re.IGNORECASE) for pattern in _TAKEN_AWAY for text in said):
        return True
    explained = any(not _ORDINARY.search(text) for text in said)
    return bool(not explained and exit_code(job) is None and job.get("startedAt"))


def end_of(job: Mapping[str, Any] | None, job_id: str) -> End:
    """How a job ended.

    Args:
        job: an entry of ``describe_jobs``; None if Batch does not know the job.
        job_id: the job's id.
    """
    if job is None:
        return End(None, f"Batch does not know the job {job_id}.", is_lost=True)
    if job["status"] == "SUCCEEDED":
        return End(None, f"Batch job {job_id} ended well but left no manifest: is its container our runner?")
    silent = describe_failure(job)
    code, container = exit_code(job), job.get("container") or {}
    return End(
        silent if failure_reason(job) else None,
        silent,
        is_lost=was_taken_away(job),
        exit_code=code,
        has_run=code is not None or bool(job.get("startedAt") or container.get("logStreamName")),
    )


def describe_failure(job: Mapping[str, Any]) -> str:
    """One line with the id of a failed job and the reason of its failure."""
    reason = failure_reason(job)
    if reason is None:
        code = exit_code(job)
        if code is not None:
            reason = f"its container ended with exit code {code}"
        elif job.get("startedAt"):
            reason = "it ended without a word; its container was killed, or its machine was lost"
        else:
            reason = "it never started"
    return f"Batch job {job['jobId']} failed: {reason}."


def exit_code(job: Mapping[str, Any]) -> int | None:
    """Exit code of the job's container; None if AWS reports none."""
    code = (job.get("container") or {}).get("exitCode")
    return None if code is None else int(code)


def is_ending(job: Mapping[str, Any]) -> bool:
    """True if the job's termination was requested, so that no later try may wait for it as a running job."""
    # Either is enough: AWS's flags, or the reason that we gave. Other texts in statusReason are only hints.
    asked_by_us = str(job.get("statusReason") or "").startswith(ENDED)
    return bool(job.get("isTerminated") or job.get("isCancelled") or asked_by_us)


def job_summary(job: Mapping[str, Any]) -> dict[str, Any]:
    """Part of an ended job that the functions of this module read, as JSON.

    Airflow's triggerer passes it to a worker in an event; a whole entry of ``describe_jobs`` is much longer.
    """
    container = job.get("container") or {}
    attempts = [(attempt.get("container") or {}).get("reason") for attempt in job.get("attempts") or ()]
    return {
        "jobId": job["jobId"],
        "jobName": job["jobName"],
        "status": job["status"],
        "statusReason": job.get("statusReason"),
        "startedAt": job.get("startedAt"),
        "container": {name: container[name] for name in ("exitCode", "reason") if name in container},
        "attempts": [{"container": {"reason": reason}} for reason in attempts if reason],
    }


def _texts(job: Mapping[str, Any]) -> list[str]:
    """Every text of AWS about a job's end, the most specific first."""
    attempts = [attempt.get("container") or {} for attempt in job.get("attempts") or ()]
    found = [(job.get("container") or {}).get("reason"), *(each.get("reason") for each in reversed(attempts))]
    return [text for text in (*found, job.get("statusReason")) if text]


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
