"""Why a job on AWS Batch ended as it did, in one line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

ENDED = "Ended by airflow-conda-flow"
"""What stands in AWS for the end of a job that we ask for."""
_KILLED, _NO_PROGRAM = 137, 127
_ORDINARY = re.compile(r"essential container in task exited", re.IGNORECASE)
# What AWS writes -> what it means, and what to do. The first that matches counts.
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


def failure_reason(job: Mapping[str, Any]) -> str | None:
    """What AWS knows of a failure beside the container's exit, in one line; None where it knows no more.

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


def describe_failure(job: Mapping[str, Any]) -> str:
    """One line that says of a failed job which it was and why it failed."""
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
    """The exit code of the job's container, None if it has none."""
    code = (job.get("container") or {}).get("exitCode")
    return None if code is None else int(code)


def is_ending(job: Mapping[str, Any]) -> bool:
    """Whether somebody asked for the job's end, so that it must not be waited for as if it ran."""
    asked_by_us = str(job.get("statusReason") or "").startswith(ENDED)
    return bool(job.get("isTerminated") or job.get("isCancelled") or asked_by_us)


def job_summary(job: Mapping[str, Any]) -> dict[str, Any]:
    """What of a job that has ended the functions here look at, as JSON."""
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
    """Everything that AWS writes of a job's end, the most telling first."""
    attempts = [attempt.get("container") or {} for attempt in job.get("attempts") or ()]
    found = [(job.get("container") or {}).get("reason"), *(each.get("reason") for each in reversed(attempts))]
    return [text for text in (*found, job.get("statusReason")) if text]


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
