"""Inputs of a task, derived from the records of the tasks before it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.errors import NotAsPrepared
from airflow_conda_flow.records.lineage import parents
from airflow_conda_flow.runner.record_reader import RecordReader, TaskKey

if TYPE_CHECKING:
    from airflow_conda_flow.records.graph import FlowGraph
    from airflow_conda_flow.records.run_record import RunRecord
    from airflow_conda_flow.records.shapes import ArtifactRef, Frame
    from airflow_conda_flow.records.task_record import TaskRecord
    from airflow_conda_flow.runner.task_request import TaskRequest

_NAMED = 3  # manifests that a message names


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


def checked_inputs(request: TaskRequest, run: RunRecord, record_of: RecordReader) -> TaskInputs:
    """Inputs of the task of a request, whose records are those that the tasks before it have written.

    Args:
        request: an attempt of the task; its ``inputs_sha256`` is compared, if it has one.
        run: the run that the task is part of.
        record_of: reads the tasks before it; nobody has read with it before.

    Raises:
        LookupError: a task that this one reads from has not finished.
        NotAsPrepared: a record is not the one that its task has written.
    """
    inputs = gather_inputs(run, request.step, request.indices, record_of)
    expected = request.inputs_sha256
    if expected is not None and inputs_sha256(record_of) != expected:
        keys = sorted(layout.task_manifest(each.name) for each in record_of.read)
        more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
        raise NotAsPrepared(
            f"A manifest in the datastore is not the one that its task in this run wrote: "
            f"{', '.join(keys[:_NAMED])}{more}.",
            "Nothing was run. Find out who wrote it (docs/security.md), delete it, and resume the run: the "
            "task then runs again.",
        )
    return inputs


def inputs_sha256(record_of: RecordReader) -> str:
    """One SHA-256, in hex, over all records that a reader has read to gather the inputs of one task."""
    lines = sorted(f"{each.task.pathspec} {each.attempt} {each.sha256}" for each in record_of.read)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def _finished(key: TaskKey, record_of: RecordReader) -> TaskRecord:
    record = record_of(*key)
    if record is None:
        raise LookupError(
            f"task {record_of.name_of(*key).pathspec} has not finished. Let it run first: a task that was "
            "only marked as successful has stored nothing to go on with."
        )
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
