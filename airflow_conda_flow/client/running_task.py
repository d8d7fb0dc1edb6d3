"""The ``Task`` of the step process around, which no datastore has yet."""

from datetime import datetime, timezone

from airflow_conda_flow.client import past_run  # noqa: F401 - registers Run, which a task finds as its parent
from airflow_conda_flow.client.past_task import Task
from airflow_conda_flow.client.stored_object import restored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def running_task(
    current: "Any",
    started: "str",
    artifacts: "dict[str, Any] | None" = None,
    transition: "dict[str, Any] | None" = None,
) -> "Task":
    """The task that ``current`` is about.

    Args:
        current: ``airflow_conda_flow.current``.
        started: when the step started, as ``now`` says it.
        artifacts: references by name, once the step is done; they are stored, or about to be.
        transition: what comes next, likewise.
    """
    task: "Task" = restored(Task, current.pathspec, None, None, None)
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


def now() -> "str":
    """The time as a manifest says it."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")
