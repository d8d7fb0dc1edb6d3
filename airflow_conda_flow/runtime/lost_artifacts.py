"""Explanation of a missing artifact that another step assigns, found by reading the flow's source."""

import ast

from airflow_conda_flow.flow.graph.reader import method_definition, read_graph
from airflow_conda_flow.flow.members import owners

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.records.graph import FlowGraph


def why_missing(flow_class: "Any", step: str, name: str, inputs: "list[str]") -> "str | None":
    """Rest of an error message that begins with the attribute's name; None if there is no explanation.

    Args:
        flow_class: the flow.
        step: step that reads the artifact.
        name: name of the artifact.
        inputs: steps of the join's inputs that have the artifact; empty outside a join.
    """
    try:
        return _why_missing(flow_class, step, name, inputs)
    except Exception:  # noqa: BLE001 - the artifact is reported as missing in any case
        return None


def _why_missing(flow_class: "Any", step: str, name: str, inputs: "list[str]") -> "str | None":
    graph = read_graph(flow_class)
    lines = _assigning_steps(flow_class, name)
    before = {each: line for each, line in lines.items() if each in graph.steps}
    before = {each: line for each, line in before.items() if step in graph.descendants(each) and each != step}
    if not before and inputs:
        before = dict.fromkeys(inputs, 0)
    if not before:
        return None
    said = _listed(before)
    join = _join_between(graph, list(before), step)
    if join == step:
        return (
            "which %s assigned. A join begins with only the parameters. Call self.merge_artifacts(inputs) "
            "first, or read it from inputs, such as %s." % (said, _from_inputs(graph, step, name, inputs))
        )
    if join is not None:
        return (
            "which %s assigned, but the join %r did not pass on. Write self.merge_artifacts(inputs) in step "
            "%r, or assign self.%s there." % (said, join, join, name)
        )
    return "which %s assigns, but did not in this run." % said


def _assigning_steps(flow_class: "Any", name: str) -> "dict[str, int]":
    """Line of the first assignment to the attribute, by step."""
    found = {}
    for owner in owners(flow_class):
        for method, member in vars(owner).items():
            definition = method_definition(member)
            if definition is None or not definition.args.args:
                continue
            me = definition.args.args[0].arg
            nodes: "list[Any]" = list(ast.walk(definition))
            lines = [node.lineno for node in nodes if _assigns(node, me, name)]
            if lines:
                found[method] = min(lines)
    return found


def _assigns(node: "Any", me: str, name: str) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and node.attr == name
        and isinstance(node.value, ast.Name)
        and node.value.id == me
    )


def _join_between(graph: "FlowGraph", before: "list[str]", step: str) -> "str | None":
    """First join before the step, or the step itself, that could have dropped the artifact."""
    for node in graph.topological():
        is_after = any(node.name in graph.descendants(each) for each in before)
        if node.is_join and is_after and (node.name == step or step in graph.descendants(node.name)):
            return node.name
    return None


def _from_inputs(graph: "FlowGraph", step: str, name: str, inputs: "list[str]") -> str:
    around = graph.steps[step].in_steps
    if len(around) > 1:
        return "inputs.%s.%s" % ((inputs or around)[0], name)
    return "[each.%s for each in inputs]" % name


def _listed(lines: "dict[str, int]") -> str:
    names = ["step %r%s" % (step, " (line %d)" % line if line else "") for step, line in lines.items()]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
