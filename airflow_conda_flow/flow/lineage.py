"""Which task leads to which: derived from the graph and the manifests, never handed over."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from airflow_conda_flow.flow.graph import FlowGraph

    TaskKey = tuple[str, tuple[int, ...]]
    ManifestOf = Callable[[str, tuple[int, ...]], dict[str, Any] | None]


def parents(graph, step, indices, manifest_of):
    # type: (FlowGraph, str, tuple[int, ...], ManifestOf) -> list[TaskKey]
    """The tasks whose outputs are a task's inputs.

    A join of a split has them in the order of the branches, a join of a foreach in the order of the
    splits. Manifests are asked for only where the graph alone does not say: how many splits a
    foreach had, and which arm of a switch was taken.

    Args:
        graph: the flow's graph.
        step: the task's step.
        indices: the task's index path.
        manifest_of: the manifest of a finished task, or None if that task did not run.

    Raises:
        LookupError: a manifest that must be there is not.
    """
    node = graph.steps[step]
    if step == graph.start:
        return []
    candidates = [name for name in node.in_steps if name != step]
    if not node.is_join:
        before = [(name, _indices_before(graph, name, indices)) for name in candidates]
        return [_taken(step, before, manifest_of)]
    split = graph.split_of(step)
    if split.kind == "foreach":
        manifest = manifest_of(split.name, indices)
        if manifest is None:
            raise LookupError("The foreach in step %r has not finished." % split.name)
        return [
            _taken(step, [(name, indices + (index,)) for name in candidates], manifest_of)
            for index in range(manifest["transition"]["num_splits"])
        ]
    return [
        _taken(step, [(name, indices) for name in group], manifest_of)
        for group in _by_branch(graph, split.out_steps, candidates)
    ]


def next_tasks(graph, indices, transition):
    # type: (FlowGraph, tuple[int, ...], Any) -> list[TaskKey]
    """The tasks that a finished task leads to; a join is among them for each of its inputs.

    Args:
        graph: the flow's graph.
        indices: the finished task's index path.
        transition: what its manifest says of ``self.next()``.
    """
    if transition is None:
        return []
    if transition.get("foreach") is not None:
        target = transition["next"][0]
        return [(target, indices + (index,)) for index in range(transition["num_splits"])]
    return [(target, _indices_of_target(graph, target, indices)) for target in transition["next"]]


def _indices_before(graph, before, indices):
    # type: (FlowGraph, str, tuple[int, ...]) -> tuple[int, ...]
    return indices[:-1] if graph.steps[before].kind == "foreach" else indices


def _indices_of_target(graph, target, indices):
    # type: (FlowGraph, str, tuple[int, ...]) -> tuple[int, ...]
    node = graph.steps[target]
    if node.is_join and graph.split_of(target).kind == "foreach":
        return indices[:-1]
    return indices


def _by_branch(graph, branches, candidates):
    # type: (FlowGraph, list[str], list[str]) -> list[list[str]]
    """The steps that lead into a join, grouped by the branch that they are on."""
    groups = []
    for branch in branches:
        inside = graph.descendants(branch) | {branch}
        groups.append([name for name in candidates if name in inside])
    return groups


def _taken(step, candidates, manifest_of):
    # type: (str, list[TaskKey], ManifestOf) -> TaskKey
    """Of tasks that exclude one another, the one that ran and chose ``step``."""
    if len(candidates) == 1:
        return candidates[0]
    for name, indices in candidates:
        manifest = manifest_of(name, indices)
        if manifest is not None and step in manifest["transition"]["next"]:
            return (name, indices)
    raise LookupError(
        "None of the steps before %r has finished: %s." % (step, ", ".join(c[0] for c in candidates))
    )
