"""The graph in a run manifest, before it is used: its kind, and whether its steps can follow each other."""

import re
from itertools import chain

from airflow_conda_flow.records.graph import KINDS, FlowGraph
from airflow_conda_flow.records.kinds import OrNull, is_count, is_identifier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_conda_flow.records.graph import StepNode
    from airflow_conda_flow.records.shapes import GraphDocument

_NODE = {
    "name": is_identifier,
    "kind": re.compile("|".join(KINDS)),
    "out_steps": [str],
    "in_steps": [str],
    "foreach": OrNull(str),
    "condition": OrNull(str),
    "switch_cases": [[object]],
    "is_join": bool,
    "num_parallel?": bool,
    "conditional?": bool,
    "split_parents": [str],
    "matching_join": OrNull(str),
    "line": is_count,
    "doc": str,
}
GRAPH = {"name": str, "line": is_count, "doc": str, "start?": str, "end?": str, "steps": [_NODE]}
"""Kind of a stored graph; early versions have not written the keys with a question mark."""
_OPENING = ("split", "foreach")  # kinds of steps that a join closes


def wrong_graph(data: "GraphDocument") -> "str | None":
    """A few words about a stored graph, whose kind is right, that no flow has; None if there is nothing."""
    fault = next(_wrong_names(data), None)
    if fault:
        return fault
    graph = FlowGraph.from_dict(data)
    return next(chain(_wrong_ends(graph), _wrong_order(graph), _wrong_joins(graph)), None)


def _wrong_names(data: "GraphDocument") -> "Iterator[str]":
    names = {node["name"] for node in data["steps"]}
    if not names or len(names) < len(data["steps"]):
        yield "its graph has no steps, or one of them twice"
    for node in data["steps"]:
        others = [*node["out_steps"], *node["in_steps"], *node["split_parents"]]
        for each in [*others, node["matching_join"] or node["name"]]:
            if each not in names:
                yield "its step %r names %r, which is not a step" % (node["name"], each)
        for case in node["switch_cases"]:
            if len(case) != len(("value", "step")) or isinstance(case[0], (dict, list)):
                yield "its step %r has cases that name no step" % node["name"]
            elif case[1] not in node["out_steps"]:
                yield "its step %r has a case for %r, which is not after it" % (node["name"], case[1])
        if (node["kind"] == "end") == bool(node["out_steps"]):
            yield "its step %r is of the kind %r" % (node["name"], node["kind"])


def _wrong_ends(graph: "FlowGraph") -> "Iterator[str]":
    for name in (graph.start, graph.end):
        if name not in graph.steps:
            yield "its graph begins or ends with %r, which is not a step" % name
    first, last = graph.steps[graph.start], graph.steps[graph.end]
    if first.is_join or first.conditional:
        yield "its first step %r has steps before it" % first.name
    if last.out_steps:
        yield "its last step %r has steps after it" % last.name


def _wrong_order(graph: "FlowGraph") -> "Iterator[str]":
    order = graph.topological()
    if len(order) < len(graph.steps):
        yield "its steps lead back to earlier ones"
    inside_of: "dict[str, list[str]]" = {graph.start: []}
    for node in order:
        if node.split_parents != inside_of.get(node.name):
            yield "its step %r is inside other splits than the steps before it" % node.name
        for target in node.out_steps:
            if target != node.name:
                inside_of.setdefault(target, _inside_of(graph.steps[target], node))


def _wrong_joins(graph: "FlowGraph") -> "Iterator[str]":
    closed = {node.matching_join for node in graph.steps.values()}
    for node in graph.steps.values():
        if (node.kind in _OPENING) != (node.matching_join is not None):
            yield "its step %r is closed by %r" % (node.name, node.matching_join)
        if node.is_join != (node.name in closed):
            yield "its step %r closes no split, or is no join" % node.name


def _inside_of(node: "StepNode", before: "StepNode") -> "list[str]":
    """Splits around a step, outermost first, as the step before it has them."""
    inside = before.split_parents + ([before.name] if before.kind in _OPENING else [])
    return inside[:-1] if node.is_join else inside
