"""``Step``: all tasks of one step of a run."""

from airflow_conda_flow.client.past_task import Task
from airflow_conda_flow.client.stored_object import BATCH, StoredObject
from airflow_conda_flow.records.task_record import TaskRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from typing import Any

    from airflow_conda_flow.client.past_run import Run
    from airflow_conda_flow.records.graph import StepNode


class Step(StoredObject):
    """One step of a run: ``Step("TrainFlow/1795547131171801/start")``. Iteration yields its tasks.

    Tasks come in split order. ``step["fit-3"]`` is a task by its id, and so is ``step["3"]``.
    """

    depth = 3

    if TYPE_CHECKING:

        @property
        def parent(self) -> "Run":
            """Run that the step belongs to."""

        def __iter__(self) -> "Iterator[Task]":
            """Iterate over the tasks that have ended, in split order."""

        def __getitem__(self, name: str) -> "Task":
            """Task with this id."""

    @property
    def task(self) -> "Task | None":
        """The only task, or the first one of a foreach; None if no task has ended."""
        return next(iter(self), None)

    def tasks(self, *tags: str) -> "Iterator[Task]":
        """Tasks that have ended, in split order; empty if the run lacks one of the given tags."""
        return iter(self) if self.tags.issuperset(tags) else iter(())

    def control_tasks(self, *tags: str) -> "Iterator[Task]":
        """Tasks that are main nodes of a ``num_parallel``; empty if the run lacks one of the given tags."""
        return (task for task in self.tasks(*tags) if task._is_control())

    @property
    def control_task(self) -> "Task | None":
        """Main node of a ``num_parallel``; the first one if there are several, None if there is none."""
        return next(iter(self.control_tasks()), None)

    @property
    def created_at(self) -> "datetime | None":
        """Time when the first task started, in this machine's time zone; None if no task has ended."""
        return min((task.created_at for task in self), default=None)

    @property
    def finished_at(self) -> "datetime | None":
        """Latest end of a task so far, in this machine's time zone; None if no task has ended."""
        return max((task.finished_at for task in self), default=None)

    @property
    def parent_steps(self) -> "Iterator[Step]":
        """Steps directly before this one in the graph that have run."""
        node = self._node()
        return self._of_run([] if node is None else node.in_steps)

    @property
    def child_steps(self) -> "Iterator[Step]":
        """Steps directly after this one in the graph that have run."""
        node = self._node()
        return self._of_run([] if node is None else node.out_steps)

    @property
    def environment_info(self) -> "dict[str, Any] | None":
        """Environment of the tasks as plain data; None if the step has no environment."""
        task = self.task
        return None if task is None else task.environment_info

    def _node(self) -> "StepNode | None":
        """Node of the step in the graph; None for ``_parameters``."""
        return self.parent.graph.steps.get(self.id)

    def _of_run(self, names: "list[str]") -> "Iterator[Step]":
        return (step for step in map(self.parent._child, names) if step is not None)

    def _task_ids(self) -> "list[str]":
        return self._catalogue.call("task_ids", list(self._parts))  # type: ignore[no-any-return]

    def _load(self) -> None:
        self._run_record()  # raises a clearer error if the run itself is missing
        if not self._task_ids():
            raise self._missing()

    def _read(self, task_ids: "list[str]") -> "Iterator[Task]":
        """Those of the given tasks that have ended."""
        first_attempt = self._run_record().first_attempt
        for start in range(0, len(task_ids), BATCH):
            batch = task_ids[start : start + BATCH]
            for document in self._catalogue.call("tasks", list(self._parts) + [batch, first_attempt]):
                if document is not None:
                    yield Task._known(self, TaskRecord(document))

    def _children(self) -> "Iterator[Task]":
        return self._read(self._task_ids())

    def _child(self, name: str) -> "Task | None":
        return next(self._read([name]), None)
