"""Which tasks of a run may start, as a pure matter of the graph and of what has finished.

Nothing here touches a datastore, a process or a clock.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from airflow_conda_flow.records.graph import FlowGraph
from airflow_conda_flow.records.lineage import next_tasks

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import Transition

TaskKey = tuple[str, tuple[int, ...]]
"""A step's name and an index path."""


class Readiness:
    """Counts what has finished, and says what that makes ready.

    A join is ready once every task that leads into it has finished: as many as the matching split
    has branches, or splits.
    """

    def __init__(self, graph: FlowGraph) -> None:
        self._graph = graph
        self._arrivals: Counter[TaskKey] = Counter()
        self._num_splits: dict[TaskKey, int] = {}
        self._split_of_join = {
            node.matching_join: node for node in graph.steps.values() if node.matching_join
        }

    def first(self) -> TaskKey:
        """The task that every run begins with."""
        return (self._graph.start, ())

    def finished(self, step: str, indices: tuple[int, ...], transition: Transition | None) -> list[TaskKey]:
        """The tasks that may start now that this one has finished.

        Args:
            step: the step of the finished task.
            indices: its index path.
            transition: what its ``self.next()`` said, as its manifest holds it.
        """
        if transition is None:
            return []
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
