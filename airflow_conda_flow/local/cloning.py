"""Cloning: makes the finished tasks of a resumed run part of the new run.

A clone is a task manifest in the new run that refers to the same artifacts; no value is copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeGuard

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.datastore.keeping import keeper, prune_is_under_way
from airflow_conda_flow.datastore.manifests import dead_end, write_task_manifest
from airflow_conda_flow.datastore.run_memory import RunMemory
from airflow_conda_flow.errors import NotInDatastore
from airflow_conda_flow.local.console import Console
from airflow_conda_flow.local.readiness import Readiness, TaskKey
from airflow_conda_flow.records.graph import StepNode
from airflow_conda_flow.records.names import task_id
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.task_record import TaskRecord

_WRITERS = 16
"""Number of manifests that are written in parallel; as many as ``datastore.manifests`` reads in parallel."""


class Cloning:
    """Cloner of one run's finished tasks into another run.

    A task is cloned if it is done, all tasks before it were cloned, its step is not among those to run
    again, the graph after its step is unchanged, and all later steps can read its artifacts. So everything
    that depends on a task that runs again runs again too.

    Args:
        datastore: datastore of both runs.
        origin: run that is resumed.
        run: the new run.
        rerun: steps that run again even if their tasks are done.
        max_num_splits: maximum number of splits of a foreach; a task with more runs again, and fails.
        held: receives the record of every clone.
    """

    def __init__(
        self,
        datastore: Datastore,
        origin: RunRecord,
        run: RunRecord,
        rerun: frozenset[str],
        max_num_splits: int,
        held: dict[TaskKey, TaskRecord],
    ) -> None:
        self._held = held
        self._max_num_splits = max_num_splits
        self._storage = datastore.storage
        self._catalogue = RunCatalogue(datastore)
        self._origin = origin
        self._run = run
        # The new run's manifest is stored: a prune that begins now sees that it needs the origin. One that
        # has begun before may be removing the origin, so each artifact is kept.
        self._is_pruned = prune_is_under_way(datastore.storage)
        self._again = rerun | self._changed()
        self._memory = RunMemory(datastore, run.flow, run.run_id)
        self._memory_of_origin = RunMemory(datastore, origin.flow, origin.run_id)

    def clone(self, readiness: Readiness, console: Console) -> list[TaskKey]:
        """Clone every task that can be cloned; return the tasks that have to run next.

        Args:
            readiness: is told about every cloned task.
            console: prints a line for every cloned task.
        """
        flow, origin = self._run.flow, self._origin.run_id
        console.run_line(f"Cloning {flow}/{origin}")
        to_run: list[TaskKey] = []
        seen: set[TaskKey] = set()
        # A wave holds the tasks whose inputs were all cloned in earlier waves. Reading and writing wave by
        # wave overlaps the requests to the datastore.
        wave = [readiness.first()]
        with ThreadPoolExecutor(_WRITERS, thread_name_prefix="clone") as pool:
            while wave:
                seen.update(wave)
                found = self._finished(wave, console)
                to_run.extend(key for key in wave if key not in found)
                clones = list(pool.map(self._write, found.values()))
                self._held.update(zip(found, clones, strict=True))
                wave = []
                for (step, indices), record in found.items():
                    task = f"{step}/{task_id(step, indices)}"
                    console.task_line(
                        f"{self._run.run_id}/{task}", None, f"Cloning previously run task {origin}/{task}"
                    )
                    wave.extend(readiness.finished(step, indices, record.transition))
                to_run.extend(key for key in wave if key in seen)
                wave = [key for key in wave if key not in seen]
        console.run_line(f"{flow}/{origin} cloned!")
        return to_run

    def _finished(self, keys: Sequence[TaskKey], console: Console) -> dict[TaskKey, TaskRecord]:
        """Records of the tasks that can be cloned, in the order of their steps."""
        by_step: dict[str, list[TaskKey]] = {}
        for key in keys:
            if key[0] not in self._again:
                by_step.setdefault(key[0], []).append(key)
        found: dict[TaskKey, TaskRecord] = {}
        for step, of_step in by_step.items():
            records = self._catalogue.tasks(
                self._run.flow,
                self._origin.run_id,
                step,
                [task_id(step, indices) for _, indices in of_step],
                self._origin.first_attempt,
            )
            pairs = zip(of_step, records, strict=True)
            found.update((key, each) for key, each in pairs if self._is_whole(each, console))
        # The nodes of a num_parallel talk to each other: if one has to run, all of them have to.
        missing = (key for key in keys if key not in found and self._run.graph.is_in_gang(key[0]))
        broken = {(step, path[:-1]) for step, path in missing}
        return {key: each for key, each in found.items() if (key[0], key[1][:-1]) not in broken}

    def _is_whole(self, record: TaskRecord | None, console: Console) -> TypeGuard[TaskRecord]:
        """True if the task is done and the Python of every later step can read its artifacts."""
        if record is None or not record.is_done:
            return False
        if record.transition is None and record.step != self._run.graph.end:
            raise dead_end(self._storage, record)
        if not self._memory_of_origin.has_seen(record):
            console.note(
                f"{layout.task_manifest(record.name)} in the datastore {self._storage.url} says that the "
                "task is done, and this machine, which scheduled it, has not seen that. It runs again."
            )
            return False
        if (record.num_splits or 0) > self._max_num_splits:
            return False
        newest = self._run.pickle_protocol(record.step)
        return all(ref["protocol"] <= newest for ref in record.artifacts.values())

    def _write(self, record: TaskRecord) -> TaskRecord:
        clone = record.clone(self._run.run_id)
        if self._is_pruned:
            refs = list(record.artifacts.values())
            if record.transition is not None and "splits" in record.transition:
                refs += [record.transition["splits"], *record.transition.get("blocks", [])]
            for sha256 in {ref["sha256"] for ref in refs}:
                self._keep(sha256)
        write_task_manifest(self._storage, clone)
        self._memory.note(clone)
        return clone

    def _keep(self, sha256: str) -> None:
        def gone() -> None:
            raise NotInDatastore(
                f"The run {self._origin.run_id} is being removed by a prune: {layout.artifact(sha256)} is "
                f"gone from {self._storage.url}. Resume another run, or start a new one."
            )

        if not keeper(self._storage).keep(layout.artifact(sha256), gone):
            gone()

    def _changed(self) -> frozenset[str]:
        """Steps that are new, or whose part of the graph has changed."""
        before = self._origin.graph.steps
        return frozenset(
            name
            for name, node in self._run.graph.steps.items()
            if name not in before or _shape(node) != _shape(before[name])
        )


def _shape(node: StepNode) -> tuple[object, ...]:
    """Properties of a step that decide which tasks follow it."""
    return node.kind, node.out_steps, node.foreach, node.condition, node.is_join
