"""The run and the task that the calling code is part of: ``current.run`` and ``current.task``.

Whatever namespace is selected, they are shown. A task is stored when it ends: until then
``current.task`` has a name, and its run and its step, but nothing that it made.
"""

from airflow_conda_flow.client.past_run import Run
from airflow_conda_flow.client.past_task import Task
from airflow_conda_flow.client.stored_object import restored


def run(pathspec: str) -> "Run":
    """The run of the task of that pathspec."""
    return restored(Run, "/".join(pathspec.split("/")[: Run.depth]), None, None, None)  # type: ignore[no-any-return]


def task(pathspec: str) -> "Task":
    """The task of that pathspec."""
    return restored(Task, pathspec, None, None, None)  # type: ignore[no-any-return]
