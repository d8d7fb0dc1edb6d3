"""``Task`` object for the step that is running, which is not in the datastore yet."""

from datetime import datetime, timezone

from airflow_conda_flow.client.past_task import Task
from airflow_conda_flow.client.stored_object import restored
from airflow_conda_flow.records.names import TaskName
from airflow_conda_flow.records.task_record import DONE, RUNNING, make_task_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.records.shapes import ArtifactRef, Transition


def running_task(
    current: "Any",
    started: str,
    artifacts: "dict[str, ArtifactRef] | None" = None,
    transition: "Transition | None" = None,
) -> Task:
    """Task that ``current`` describes.

    Args:
        current: ``airflow_conda_flow.current``.
        started: start of the step, in the format of ``now``.
        artifacts: references by name if the step is done; they are stored or about to be stored.
        transition: transition of the step if it is done.
    """
    task: Task = restored(Task, current.pathspec, None, None, None)
    run = task._run_record()
    name = TaskName(current.flow_name, current.run_id, current.step_name, current.task_id)
    task._found = make_task_record(
        name.attempt(run.first_attempt + current.retry_count),
        status=RUNNING if artifacts is None else DONE,
        started=started,
        finished=now(),
        split_name=None,
        artifacts=artifacts or {},
        transition=transition,
        exception=None,
        run_record=None,
        environment=run.environment_of(current.step_name),
        python=None,
        seconds={},
        cards=[],
    )
    return task


def now() -> str:
    """Current time in the format of manifests."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")
