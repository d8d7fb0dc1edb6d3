"""Cloning: what a run that is resumed has done already becomes part of the new run.

A clone is a task manifest under the new run that names the same artifacts; no value is copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeGuard

from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.datastore.manifests import DONE, Manifest, write_task_manifest
from airflow_conda_flow.flow.graph import FlowGraph
from airflow_conda_flow.flow.index_path import task_id
from airflow_conda_flow.local.console import Console
from airflow_conda_flow.local.readiness import Readiness, TaskKey

_WRITERS = 16
_SHAPE = ("kind", "out_steps", "foreach", "condition", "is_join")


class Cloning:
    """Takes over the finished tasks of one run into another.

    A task is cloned if every task before it was, its step need not run again, and its step goes on as
    it did: so whatever depends on something that runs again runs again too.

    Args:
        datastore: where both runs are.
        origin: the manifest of the run that is resumed.
        run: the manifest of the new run.
        rerun: steps that run again, whatever they have done.
        max_num_splits: how many splits a foreach may have; a wider one runs again, and fails.
    """

    def __init__(
        self,
        datastore: Datastore,
        origin: Manifest,
        run: Manifest,
        rerun: frozenset[str],
        max_num_splits: int,
    ) -> None:
        self._max_num_splits = max_num_splits
        self._storage = datastore.storage
        self._catalogue = RunCatalogue(datastore)
        self._origin = origin
        self._run = run
        self._graph = FlowGraph.from_dict(run["graph"])
        self._again = rerun | self._changed()

    def clone(self, readiness: Readiness, console: Console) -> list[TaskKey]:
        """Clone all that can be; returns the tasks that come next.

        Args:
            readiness: told of every cloned task.
            console: told too.
        """
        flow, origin = self._run["flow"], self._origin["run_id"]
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
                for (step, indices), manifest in found.items():
                    task = f"{step}/{task_id(indices)}"
                    console.task_line(
                        f"{self._run['run_id']}/{task}", None, f"Cloning previously run task {origin}/{task}"
                    )
                    wave.extend(readiness.finished(step, indices, manifest["transition"]))
                to_run.extend(key for key in wave if key in seen)
                wave = [key for key in wave if key not in seen]
        console.run_line(f"{flow}/{origin} cloned!")
        return to_run

    def _finished(self, keys: Sequence[TaskKey]) -> dict[TaskKey, Manifest]:
        """The manifests of those that can be cloned."""
        by_step: dict[str, list[TaskKey]] = {}
        for key in keys:
            if key[0] not in self._again:
                by_step.setdefault(key[0], []).append(key)
        found: dict[TaskKey, Manifest] = {}
        for step, of_step in by_step.items():
            manifests = self._catalogue.tasks(
                self._run["flow"],
                self._origin["run_id"],
                step,
                [task_id(indices) for _, indices in of_step],
                self._origin.get("first_attempt", 0),
            )
            pairs = zip(of_step, manifests, strict=True)
            found.update((key, each) for key, each in pairs if self._is_whole(each))
        missing = (key for key in keys if key not in found and self._graph.is_in_gang(key[0]))
        broken = {(step, path[:-1]) for step, path in missing}
        return {key: each for key, each in found.items() if (key[0], key[1][:-1]) not in broken}

    def _is_whole(self, manifest: Manifest | None) -> TypeGuard[Manifest]:
        """Whether the task is done, and every later step can read its artifacts with its Python of now."""
        if manifest is None or manifest["status"] != DONE:
            return False
        if ((manifest["transition"] or {}).get("num_splits") or 0) > self._max_num_splits:
            return False
        newest: int = self._run["pickle_protocols"][manifest["step"]]
        return all(ref["protocol"] <= newest for ref in manifest["artifacts"].values())

    def _write(self, manifest: Manifest) -> None:
        origin = {"run_id": self._origin["run_id"], "attempt": manifest["attempt"]}
        clone = {
            **manifest,
            "run_id": self._run["run_id"],
            "attempt": 0,
            "cloned_from": manifest.get("cloned_from") or origin,
        }
        clone.pop("superseded_by", None)
        write_task_manifest(self._storage, clone)

    def _changed(self) -> frozenset[str]:
        """The steps that go on otherwise than they did."""
        before = {node["name"]: node for node in self._origin["graph"]["steps"]}
        return frozenset(
            node["name"]
            for node in self._run["graph"]["steps"]
            if _shape(node) != _shape(before.get(node["name"], {}))
        )


def _shape(node: Mapping[str, Any]) -> list[Any]:
    return [node.get(name) for name in _SHAPE]
