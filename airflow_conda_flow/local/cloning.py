"""Cloning: what a run that is resumed has done already becomes part of the new run.

A clone is a task manifest under the new run that names the same artifacts; no value is copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeGuard

from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.datastore.manifests import write_task_manifest
from airflow_conda_flow.local.console import Console
from airflow_conda_flow.local.readiness import Readiness, TaskKey
from airflow_conda_flow.records.graph import StepNode
from airflow_conda_flow.records.names import task_id
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.task_record import TaskRecord

_WRITERS = 16


class Cloning:
    """Takes over the finished tasks of one run into another.

    A task is cloned if every task before it was, its step need not run again, and its step goes on as
    it did: so whatever depends on something that runs again runs again too.

    Args:
        datastore: where both runs are.
        origin: the run that is resumed.
        run: the new run.
        rerun: steps that run again, whatever they have done.
        max_num_splits: how many splits a foreach may have; a wider one runs again, and fails.
    """

    def __init__(
        self,
        datastore: Datastore,
        origin: RunRecord,
        run: RunRecord,
        rerun: frozenset[str],
        max_num_splits: int,
    ) -> None:
        self._max_num_splits = max_num_splits
        self._storage = datastore.storage
        self._catalogue = RunCatalogue(datastore)
        self._origin = origin
        self._run = run
        self._again = rerun | self._changed()

    def clone(self, readiness: Readiness, console: Console) -> list[TaskKey]:
        """Clone all that can be; returns the tasks that come next.

        Args:
            readiness: told of every cloned task.
            console: told too.
        """
        flow, origin = self._run.flow, self._origin.run_id
        console.run_line(f"Cloning {flow}/{origin}")
        to_run: list[TaskKey] = []
        seen: set[TaskKey] = set()
        wave = [readiness.first()]
        with ThreadPoolExecutor(_WRITERS, thread_name_prefix="clone") as pool:
            while wave:
                seen.update(wave)
                found = self._finished(wave)
                to_run.extend(key for key in wave if key not in found)
                list(pool.map(self._write, found.values()))
                wave = []
                for (step, indices), record in found.items():
                    task = f"{step}/{task_id(indices)}"
                    console.task_line(
                        f"{self._run.run_id}/{task}", None, f"Cloning previously run task {origin}/{task}"
                    )
                    wave.extend(readiness.finished(step, indices, record.transition))
                to_run.extend(key for key in wave if key in seen)
                wave = [key for key in wave if key not in seen]
        console.run_line(f"{flow}/{origin} cloned!")
        return to_run

    def _finished(self, keys: Sequence[TaskKey]) -> dict[TaskKey, TaskRecord]:
        """The records of those that can be cloned."""
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
                [task_id(indices) for _, indices in of_step],
                self._origin.first_attempt,
            )
            pairs = zip(of_step, records, strict=True)
            found.update((key, each) for key, each in pairs if self._is_whole(each))
        missing = (key for key in keys if key not in found and self._run.graph.is_in_gang(key[0]))
        broken = {(step, path[:-1]) for step, path in missing}
        return {key: each for key, each in found.items() if (key[0], key[1][:-1]) not in broken}

    def _is_whole(self, record: TaskRecord | None) -> TypeGuard[TaskRecord]:
        """Whether the task is done, and every later step can read its artifacts with its Python of now."""
        if record is None or not record.is_done:
            return False
        if (record.num_splits or 0) > self._max_num_splits:
            return False
        newest = self._run.pickle_protocol(record.step)
        return all(ref["protocol"] <= newest for ref in record.artifacts.values())

    def _write(self, record: TaskRecord) -> None:
        write_task_manifest(self._storage, record.clone(self._run.run_id))

    def _changed(self) -> frozenset[str]:
        """The steps that go on otherwise than they did."""
        before = self._origin.graph.steps
        return frozenset(
            name
            for name, node in self._run.graph.steps.items()
            if name not in before or _shape(node) != _shape(before[name])
        )


def _shape(node: StepNode) -> tuple[object, ...]:
    """How a step goes on."""
    return node.kind, node.out_steps, node.foreach, node.condition, node.is_join
