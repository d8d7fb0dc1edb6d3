"""Parents and successors of tasks, derived from the graph and the records alone."""

from airflow_conda_flow.errors import CorruptData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_conda_flow.records.graph import FlowGraph
    from airflow_conda_flow.records.shapes import Transition
    from airflow_conda_flow.records.task_record import TaskRecord

    TaskKey = tuple[str, tuple[int, ...]]
    RecordOf = Callable[[str, tuple[int, ...]], TaskRecord | None]


def parents(
    graph: "FlowGraph", step: str, indices: "tuple[int, ...]", record_of: "RecordOf"
) -> "list[TaskKey]":
    """Keys of the tasks whose outputs are a task's inputs.

    For a join of a split they are in the order of the branches, for a join of a foreach in the order of the
    splits. Records are read only for facts that the graph does not contain: the number of splits of a
    foreach, and the arm that a switch chose.

    Args:
        graph: the flow's graph.
        step: the task's step.
        indices: the task's index path.
        record_of: returns the record of a finished task, or None if that task did not run.

    Raises:
        LookupError: a record that is needed does not exist.
        CorruptData: a record of a foreach or a switch does not say what comes next.
    """
    node = graph.steps[step]
    if step == graph.start:
        return []
    way = _Way(graph, record_of)
    # A step that leads back to itself is one task, so it is not its own parent.
    candidates = [name for name in node.in_steps if name != step]
    if not node.is_join:
        return [way.taken(step, [(name, _indices_before(graph, name, indices)) for name in candidates])]
    split = graph.split_of(step)
    if split.kind == "foreach":
        record = record_of(split.name, indices)
        if record is None:
            raise LookupError("The foreach in step %r has not finished." % split.name)
        if record.num_splits is None:
            raise _leads_nowhere(record)
        return [
            way.taken(step, [(name, indices + (index,)) for name in candidates])
            for index in range(record.num_splits)
        ]
    return [
        way.taken(step, [(name, indices) for name in group])
        for group in _by_branch(graph, split.out_steps, candidates)
    ]


def is_taken(graph: "FlowGraph", step: str, indices: "tuple[int, ...]", record_of: "RecordOf") -> bool:
    """True if the switches before a task lead to it, or if no switch decides whether its step runs.

    Args:
        graph: the flow's graph.
        step: the task's step.
        indices: the task's index path.
        record_of: returns the record of a finished task, or None if that task did not run.

    Raises:
        LookupError: a switch that decides about the task has not finished.
    """
    return _Way(graph, record_of).is_taken(step, indices)


def next_tasks(
    graph: "FlowGraph", indices: "tuple[int, ...]", transition: "Transition | None"
) -> "list[TaskKey]":
    """Keys of the tasks that a finished task leads to.

    Every input of a join leads to it, so the caller sees a join once for each of its inputs.

    Args:
        graph: the flow's graph.
        indices: the finished task's index path.
        transition: the transition in its manifest.
    """
    if transition is None:
        return []
    for target in transition["next"]:
        if target not in graph.steps:
            raise CorruptData("A task's manifest leads to %r, which is not a step of its run." % target)
    if transition["num_splits"] is not None:
        target = transition["next"][0]
        return [(target, indices + (index,)) for index in range(transition["num_splits"])]
    return [(target, _indices_of_target(graph, target, indices)) for target in transition["next"]]


def _leads_nowhere(record: "TaskRecord") -> CorruptData:
    return CorruptData(
        "The manifest of the task %s says that it is done, and not what comes next. Resume the run from the "
        "step %r." % (record.task.pathspec, record.step)
    )


def _indices_before(graph: "FlowGraph", before: str, indices: "tuple[int, ...]") -> "tuple[int, ...]":
    return indices[:-1] if graph.steps[before].kind == "foreach" else indices


def _indices_of_target(graph: "FlowGraph", target: str, indices: "tuple[int, ...]") -> "tuple[int, ...]":
    node = graph.steps[target]
    if node.is_join and graph.split_of(target).kind == "foreach":
        return indices[:-1]
    return indices


def _by_branch(graph: "FlowGraph", branches: "list[str]", candidates: "list[str]") -> "list[list[str]]":
    """Steps that lead into a join, grouped by the branch that they are on."""
    groups = []
    for branch in branches:
        inside = graph.descendants(branch) | {branch}
        groups.append([name for name in candidates if name in inside])
    return groups


class _Way:
    """The path of a run through its switches.

    It is read from the choices of the switches, not from which tasks have outputs: a switch that was run
    again may have chosen another arm, and then the outputs of the first arm no longer belong to the run.
    """

    def __init__(self, graph: "FlowGraph", record_of: "RecordOf") -> None:
        self._graph = graph
        self._record_of = record_of
        # Arms of nested switches share predecessors: without this each level would double the work.
        self._known: "dict[TaskKey, bool]" = {}

    def taken(self, step: str, candidates: "list[TaskKey]") -> "TaskKey":
        """The one of several mutually exclusive tasks that leads to ``step``."""
        if len(candidates) == 1:  # no switch decides, so no record needs to be read
            return candidates[0]
        for name, indices in candidates:
            if self._leads(name, indices, step):
                return (name, indices)
        raise LookupError(
            "None of the steps before %r has finished: %s." % (step, ", ".join(c[0] for c in candidates))
        )

    def is_taken(self, step: str, indices: "tuple[int, ...]") -> bool:
        """True if the run reaches this task."""
        # Walks back to the nearest step whose predecessors decide: one after a switch, or one that several
        # arms lead to. A join runs exactly if its split does, so everything between the two is skipped.
        while self._graph.steps[step].conditional:
            node = self._graph.steps[step]
            before = [name for name in node.in_steps if name != step]
            if node.is_join:
                before = [self._graph.split_of(step).name]
            elif len(before) > 1 or self._graph.steps[before[0]].kind == "switch":
                return self._is_taken_from(before, step, indices)
            else:
                indices = _indices_before(self._graph, before[0], indices)
            step = before[0]
        return True

    def _is_taken_from(self, before: "list[str]", step: str, indices: "tuple[int, ...]") -> bool:
        key = (step, indices)
        if key not in self._known:
            self._known[key] = any(
                self._leads(name, _indices_before(self._graph, name, indices), step) for name in before
            )
        return self._known[key]

    def _leads(self, before: str, indices: "tuple[int, ...]", step: str) -> bool:
        """True if the earlier task is part of the run and leads to ``step``."""
        if not self.is_taken(before, indices):
            return False
        if self._graph.steps[before].kind != "switch":
            return True
        record = self._record_of(before, indices)
        if record is None:
            raise LookupError("The switch in step %r has not finished." % before)
        if not record.next_steps:
            raise _leads_nowhere(record)
        return step in record.next_steps
