"""The course of an attempt in a pod or job: start it, follow it to its end, and conclude it.

The command line, Airflow's workers and Airflow's triggerer take the same course, for every kind of place. The
manifest is the truth about an attempt: it is asked first, and what the cluster says counts only without it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.manifests import read_attempt, write_task_manifest
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import (
    ComputeForbidden,
    ComputeUnavailable,
    NotAsPrepared,
    TaskFailed,
    TaskLost,
)
from airflow_conda_flow.records.task_record import TaskRecord
from airflow_conda_flow.runner.attempt_record import as_exception, commit_failure
from airflow_conda_flow.runner.manifest_line import NOTHING
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult

_CANCELLED = "The task was ended before it finished."


@dataclass(frozen=True)
class End:
    """How a pod or job ended, in the words of its cluster.

    Attributes:
        cause: outside cause of the end, in one line; None if the step ended by itself.
        silent: message for an attempt that has neither a cause nor a manifest.
        is_lost: True if the cause lies in the infrastructure, such as an eviction or a lost machine.
        manifest: SHA-256 of the manifest that the attempt committed, as its log tells; None if it tells none.
        exit_code: exit code of its container; None if that is not known.
        has_run: False if its container has never run, so that it can have committed nothing.
    """

    cause: str | None
    silent: str = ""
    is_lost: bool = False
    manifest: str | None = None
    exit_code: int | None = None
    has_run: bool = True

    @property
    def told(self) -> str | None:
        """Digest that the stored manifest must have; None if that is not known.

        ``NOTHING`` counts only of a container that failed: the log of one that was taken away may be cut, and
        that of one that ended well, which has committed, may be shown late.
        """
        if self.manifest not in {None, NOTHING}:
            return self.manifest
        return NOTHING if not self.has_run or (self.manifest and self.exit_code) else None


class RemoteTask(Protocol):
    """A pod or job that runs an attempt, and that this process waits for."""

    @property
    def title(self) -> str:
        """Name for people, such as ``pod x``; empty before the start if only that gives it one."""

    @property
    def is_over(self) -> bool:
        """True if it had ended at the last look."""

    def start(self) -> None:
        """Create the pod, or submit the job.

        Raises:
            ComputeUnavailable: it is refused, or the cluster cannot be reached.
        """

    def follow(self, cancel: threading.Event, is_done: Callable[[], bool], seconds: float = math.inf) -> None:
        """Pass the log on and wait, until it has ended or the time is up; a further call continues.

        Args:
            cancel: when set, this returns early and leaves the pod or job as it is.
            is_done: returns True if the attempt is committed as done.
            seconds: how long to wait at most.

        Raises:
            ComputeUnavailable: the cluster does not answer any more.
        """

    def end(self) -> End:
        """How it ended; call this after ``follow``."""

    def remove(self, *, wait: bool) -> None:
        """End it if it still runs, and remove what it leaves; a cluster that does not answer is no error.

        Args:
            wait: return only when it is gone.
        """

    def hand_over(self) -> dict[str, Any]:
        """Stop following, and return what another process needs to go on from here, as JSON."""


class Watched(Protocol):
    """A pod or job that Airflow's triggerer waits for; its methods are called in threads, one at a time."""

    @property
    def is_over(self) -> bool:
        """True if it had ended at the last look."""

    @property
    def pause(self) -> float:
        """Seconds until the next look, unless there is news before."""

    def on_news(self, call: Callable[[], object]) -> None:
        """Call this, from any thread, when a look is due before the pause is over; call it before ``lines``.

        ``call`` returns at once. A place that does not tell of changes never calls it.
        """

    def lines(self) -> list[str]:
        """Look at it, and return the new lines of its log and lines of ours about it.

        Raises:
            ComputeUnavailable: the cluster did not answer for five minutes.
        """

    def end(self) -> End:
        """How it ended."""

    def remove(self) -> str | None:
        """End it if it still runs, and remove what it leaves.

        Returns:
            a line about what is left, if the cluster refuses or does not answer; None if nothing is.
        """

    def close(self) -> None:
        """Stop waiting for it, until ``lines`` is called again."""


def is_done(storage: Storage, request: TaskRequest) -> bool:
    """True if the attempt is committed as done."""
    record = read_attempt(storage, request.name)
    return record is not None and record.is_done


def run_to_end(
    task: RemoteTask,
    storage: Storage,
    request: TaskRequest,
    on_start: Callable[[str], None],
    cancel: threading.Event,
) -> TaskResult:
    """Start a pod or job, wait until it has ended, and return the result of its attempt.

    Args:
        task: the pod or job.
        storage: the datastore's storage.
        request: the attempt.
        on_start: called with the title of the pod or job once it was started.
        cancel: when set, the attempt is ended early.

    Raises:
        DatastoreError: the manifest cannot be read or written.
    """
    end = End(_CANCELLED)
    is_started = False
    try:
        if not cancel.is_set():
            named = task.title
            if named:
                on_start(named)
            task.start()
            is_started = True
            if not named:
                on_start(task.title)
            task.follow(cancel, lambda: is_done(storage, request))
            end = task.end()
    except ComputeUnavailable as error:
        # If it could not be started, it was refused for a reason that lasts, and so is a missing right. If it
        # ran, it lost its cluster.
        is_lost = is_started and not isinstance(error, ComputeForbidden)
        end = End(str(error), is_lost=is_lost, has_run=is_started)
    finally:
        # When cancelled, wait: nothing of the run may be left running. Else it has ended by itself.
        task.remove(wait=cancel.is_set())
    return conclude(storage, request, end, cancelled=cancel.is_set())


def conclude(storage: Storage, request: TaskRequest, end: End, *, cancelled: bool = False) -> TaskResult:
    """Result of an attempt whose pod or job has ended.

    An attempt without a manifest is committed as failed, and so is one with another manifest than it told.

    Args:
        storage: the datastore's storage.
        request: the attempt.
        end: how the pod or job ended.
        cancelled: True if the attempt was ended on request; this takes the place of ``end.cause``.

    Raises:
        DatastoreError: the manifest cannot be read or written.
    """
    kind = TaskLost if end.is_lost and not cancelled else TaskFailed
    cause = _CANCELLED if cancelled else end.cause
    record = read_attempt(storage, request.name)
    if record is None:
        cause = cause or end.silent
        record = commit_failure(storage, request, kind(cause))
    # The manifest is the commit: if it says "done", the attempt is done, whatever happened to its pod
    # afterwards.
    if record.is_done:
        try:
            check_told(storage, record, end.told)
        except NotAsPrepared as error:
            failed = commit_failure(storage, request, error, replaces=True)
            return TaskResult(ok=False, record=failed, exception=as_exception(error))
        return TaskResult(ok=True, record=record)
    if cause is None:
        # The runner saw the failure itself, and printed the traceback as the last of its lines.
        return TaskResult(ok=False, record=record, exception=record.exception, reported=True)
    exception = as_exception(kind(cause))
    if not cancelled and _is_of_runner(record.exception):
        # The runner noticed only that it was told to end. Whoever reads the manifest later learns why.
        record = record.with_exception(exception)
        write_task_manifest(storage, record)
    return TaskResult(False, record, exception, cancelled)


def check_told(storage: Storage, record: TaskRecord, told: str | None) -> None:
    """Compare the stored manifest of an attempt with what the attempt has told; ``told`` is None if nothing.

    Raises:
        NotAsPrepared: somebody else has written it.
    """
    if told is None or told in {record.sha256, record.sha256_of_commit}:
        return
    raise NotAsPrepared(
        f"{layout.task_manifest(record.name)} in the datastore {storage.url} is not what its attempt wrote: "
        f"its sha256 is {record.sha256}, and the attempt "
        + ("has committed nothing." if told == NOTHING else f"told {told}."),
        "Nothing after it was run. Find out who wrote it (docs/security.md). Then resume the run, or clear "
        "the task in Airflow: it runs again.",
    )


def _is_of_runner(exception: Any) -> bool:
    """True if the failure was raised by the runner, and not by the step's own code."""
    return exception is None or exception["type"] == TaskFailed.__name__
