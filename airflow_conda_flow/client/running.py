"""Run and task of the calling code: ``current.run`` and ``current.task``.

Both are available in every namespace. A task is stored when it ends; until then ``current.task`` has
a name, a run and a step, but no results.
"""

from airflow_conda_flow.client.past_run import Run
from airflow_conda_flow.client.past_task import Task
from airflow_conda_flow.client.stored_object import restored


def run(pathspec: str) -> "Run":
    """Run of the task with this pathspec."""
    return restored(Run, "/".join(pathspec.split("/")[: Run.depth]), None, None, None)  # type: ignore[no-any-return]


def task(pathspec: str) -> "Task":
    """Task with this pathspec."""
    return restored(Task, pathspec, None, None, None)  # type: ignore[no-any-return]
