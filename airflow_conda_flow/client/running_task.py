"""The ``Task`` of the step process around, which no datastore has yet."""

from datetime import datetime, timezone

from airflow_conda_flow.client import past_run  # what a task is part of is known once it is imported
from airflow_conda_flow.client.past_task import Task
from airflow_conda_flow.client.stored_object import restored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def running_task(current, started, artifacts=None, transition=None):
    # type: (Any, str, dict[str, Any] | None, dict[str, Any] | None) -> Task
    """The task that ``current`` is about.

    Args:
        current: ``airflow_conda_flow.current``.
        started: when the step started, as ``now`` says it.
        artifacts: references by name, once the step is done; they are stored, or about to be.
        transition: what comes next, likewise.
    """
    task = restored(Task, current.pathspec, None, None, None)  # type: Task
    environment = task._run_record()["environments"].get(current.step_name) or {}
    task._manifest = {
        "flow": current.flow_name,
        "run_id": current.run_id,
        "step": current.step_name,
        "task_id": current.task_id,
        "attempt": task._run_record().get("first_attempt", 0) + current.retry_count,
        "split_name": None,
        "status": "running" if artifacts is None else "done",
        "started": started,
        "finished": now(),
        "artifacts": artifacts or {},
        "transition": transition,
        "exception": None,
        "environment": environment.get("id"),
        "python": environment.get("python"),
    }
    return task


def now():
    # type: () -> str
    """The time as a manifest says it."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")
