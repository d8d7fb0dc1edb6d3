"""Inputs of a task, derived from the records of the tasks before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_conda_flow.records.lineage import parents
from airflow_conda_flow.runner.record_reader import RecordReader, TaskKey

if TYPE_CHECKING:
    from airflow_conda_flow.records.graph import FlowGraph
    from airflow_conda_flow.records.run_record import RunRecord
    from airflow_conda_flow.records.shapes import ArtifactRef, Frame
    from airflow_conda_flow.records.task_record import TaskRecord


@dataclass(frozen=True)
class TaskInputs:
    """Inputs of one task.

    Attributes:
        tasks: the tasks whose outputs are its inputs, in the order of a join's ``inputs``.
        ended: for each of these tasks, the foreach frames around it that end at this task.
        namespace: the artifacts that the step can read, by name.
        stack: the foreach frames around this task, outermost first.
    """

    tasks: list[TaskRecord]
    ended: list[list[Frame]]
    namespace: dict[str, ArtifactRef]
    stack: list[Frame]

    @property
    def split_name(self) -> str | None:
        """Readable names of the splits around the task, outermost first; None outside any foreach."""
        return " / ".join(frame["name"] for frame in self.stack) or None


def gather_inputs(run: RunRecord, step: str, indices: tuple[int, ...], record_of: RecordReader) -> TaskInputs:
    """Inputs of a task.

    A join begins with the parameters and constants of the run. Any other step begins with the whole
    namespace of the task before it.

    Args:
        run: the run that the task is part of.
        step: the task's step.
        indices: its index path.
        record_of: reads the tasks before it.

    Raises:
        LookupError: a task that this one reads from has not finished.
    """
    graph = run.graph
    sources = parents(graph, step, indices, record_of)
    record_of.read_all(sources)
    tasks = [_finished(key, record_of) for key in sources]
    stack = _foreach_stack(graph, step, indices, record_of)
    return TaskInputs(
        tasks=tasks,
        ended=[_foreach_stack(graph, *key, record_of)[len(stack) :] for key in sources],
        namespace=run.first_namespace if graph.steps[step].is_join or not tasks else tasks[0].artifacts,
        stack=stack,
    )


def _finished(key: TaskKey, record_of: RecordReader) -> TaskRecord:
    record = record_of(*key)
    if record is None:
        raise LookupError(f"task {record_of.name_of(*key).pathspec} has not finished.")
    return record


def _foreach_stack(
    graph: FlowGraph, step: str, indices: tuple[int, ...], record_of: RecordReader
) -> list[Frame]:
    foreaches = [name for name in graph.steps[step].split_parents if graph.steps[name].kind == "foreach"]
    stack = []
    # The foreach at nesting depth d is itself a task whose index path has d parts.
    for depth, name in enumerate(foreaches):
        record = record_of(name, indices[:depth])
        if record is None or record.transition is None:
            raise LookupError(f"the foreach in step {name!r} has not finished.")
        stack.append(record.frame(indices[depth]))
    return stack
