"""Readiness of tasks: decides which may start, from the graph and the finished tasks alone.

This module uses no datastore, no process and no clock.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from airflow_conda_flow.records.graph import FlowGraph
from airflow_conda_flow.records.lineage import next_tasks

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import Transition

TaskKey = tuple[str, tuple[int, ...]]
"""Name of a step, and an index path."""


class Readiness:
    """Counter of finished tasks that decides which tasks become ready.

    A join is ready once every task that leads to it has finished: one for each branch or split of the
    matching split step.
    """

    def __init__(self, graph: FlowGraph) -> None:
        self._graph = graph
        self._arrivals: Counter[TaskKey] = Counter()
        self._num_splits: dict[TaskKey, int] = {}
        self._split_of_join = {
            node.matching_join: node for node in graph.steps.values() if node.matching_join
        }

    def first(self) -> TaskKey:
        """First task of every run."""
        return (self._graph.start, ())

    def finished(self, step: str, indices: tuple[int, ...], transition: Transition | None) -> list[TaskKey]:
        """Tasks that may start now that this one has finished. Call it once for each finished task.

        Args:
            step: step of the finished task.
            indices: index path of the finished task.
            transition: transition from its manifest; None for the last step.
        """
        if transition is None:
            return []
        # Kept for the join, which does not see the transition of its foreach.
        if transition["num_splits"] is not None:
            self._num_splits[step, indices] = transition["num_splits"]
        ready = []
        for key in next_tasks(self._graph, indices, transition):
            if not self._graph.steps[key[0]].is_join:
                ready.append(key)
                continue
            self._arrivals[key] += 1
            if self._arrivals[key] == self._expected(key):
                del self._arrivals[key]
                ready.append(key)
        return ready

    def _expected(self, join: TaskKey) -> int:
        split = self._split_of_join[join[0]]
        if split.kind == "foreach":
            return self._num_splits[split.name, join[1]]
        return len(split.out_steps)
