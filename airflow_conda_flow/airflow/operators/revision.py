"""Which record of its run a task runs by: what the run was prepared with, or the flow as it is now.

A person mends the flow file and clears the task that has failed: it then runs the mended code, in the
environment that the mended decorators ask for. What is not cleared stays what it was, but for tasks that read
what such a task has written. A record that differs from the run's is a revision, stored beside it; its digest
travels in the request, and in the manifests of the tasks that ran by it.

Airflow decides what "now" is: the files of the DAG run's version in a versioned bundle, else those of today.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.airflow.sdk import AirflowFailException, AirflowRescheduleException
from airflow_conda_flow.datastore.manifests import read_run_manifest
from airflow_conda_flow.errors import NotAsPrepared

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_conda_flow.airflow.operators.step import StepTask
    from airflow_conda_flow.airflow.operators.tries import Try
    from airflow_conda_flow.records.run_record import RunRecord
    from airflow_conda_flow.records.task_record import TaskRecord

_UNFINISHED = (
    None,
    "scheduled",
    "queued",
    "running",
    "restarting",
    "deferred",
    "up_for_retry",
    "up_for_reschedule",
)
"""States of a task that will end, or begin, without anybody's doing."""
_ASK_EVERY = 2.0  # seconds
_ON_WORKER = 60.0
"""Seconds that a task waits on its worker before it makes room for others."""
_PAUSE = timedelta(seconds=15)


def record_that_counts(
    operator: StepTask, context: Context, tried: Try, inputs: Sequence[TaskRecord]
) -> RunRecord:
    """Record of the run that a new attempt runs by.

    Args:
        operator: the step's operator.
        context: Airflow's context of the task.
        tried: the try, by the record that the prepare task has written.
        inputs: records of the tasks that the attempt reads.

    Raises:
        CondaFlowError: the flow as it is now cannot be prepared.
    """
    run = _newest(tried, inputs)
    if not tried.is_cleared or operator.prepare is None:
        return run
    now = operator.revision(context, tried.run)
    return run if now.is_like(run) else now


def by_its_record(tried: Try, record: TaskRecord) -> Try:
    """The try by the record of the run that an attempt has run by."""
    ref = record.run_record
    if ref is None or ref["sha256"] == tried.run.sha256:
        return tried
    found = _revision(tried, ref["sha256"])
    return tried if found is None else tried.by(found)


def _newest(tried: Try, inputs: Sequence[TaskRecord]) -> RunRecord:
    """The newest of the run's record and those that the inputs were made by."""
    digests = {record.run_record["sha256"] for record in inputs if record.run_record is not None}
    found = (_revision(tried, digest) for digest in sorted(digests - {tried.run.sha256}))
    return max([tried.run, *(each for each in found if each is not None)], key=lambda each: each.created)


def _revision(tried: Try, sha256: str) -> RunRecord | None:
    # A record of a former DAG run with the same id is gone.
    with contextlib.suppress(NotAsPrepared):
        return read_run_manifest(tried.datastore.storage, tried.run.flow, tried.run.run_id, sha256)
    return None


def wait_for(task_id: str, context: Context) -> bool:
    """Wait until a task of the same DAG run has ended that was cleared together with this one.

    Returns:
        False if it had ended before, or Airflow does not say.

    Raises:
        AirflowRescheduleException: it takes long; Airflow starts this try again later.
        AirflowFailException: it has failed.
    """
    waited = False
    give_way = time.monotonic() + _ON_WORKER
    while (state := _state(task_id, context)) in _UNFINISHED:
        waited = True
        if time.monotonic() > give_way:
            raise AirflowRescheduleException(datetime.now(timezone.utc) + _PAUSE)  # type: ignore[no-untyped-call]
        time.sleep(_ASK_EVERY)
    if state in {"failed", "upstream_failed"}:
        raise AirflowFailException(
            f"The task {task_id} of this run has failed. Mend that first, and clear both."
        )
    return waited


def _state(task_id: str, context: Context) -> str | None:
    """State of an unmapped task in this DAG run; an empty text if Airflow does not say."""
    ti: Any = context["ti"]
    run_id = context["run_id"]
    try:
        states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[task_id], run_ids=[run_id])
    except Exception:  # noqa: BLE001 - whatever Airflow raises: nothing is known
        return ""
    state = states.get(run_id, {}).get(task_id, "")
    return None if state is None else str(state)
