"""Graph of a flow as ``current.graph`` returns it: plain data, in the form of Metaflow's."""

import os

from airflow_conda_flow.flow.constants import flow_constants
from airflow_conda_flow.flow.decorators.step import is_step, step_decorators
from airflow_conda_flow.flow.graph.reader import read_graph
from airflow_conda_flow.flow.members import members_of, owners
from airflow_conda_flow.flow.parameters.config import Config
from airflow_conda_flow.flow.parameters.parameters import Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.records.graph import StepNode

# Metaflow's names of the kinds of steps.
_JOIN_TYPES = {"linear": "linear", "split": "split", "foreach": "foreach", "switch": "split-switch"}


def graph_summary(flow_class: "Any") -> "dict[str, Any]":
    """Steps, parameters, constants and decorators of a flow, with file and lines of the steps."""
    graph = read_graph(flow_class)
    named = [
        {"name": attribute, "type": type(member).__name__}
        for attribute, member in sorted(members_of(flow_class, (Parameter, Config)).items())
    ]
    return {
        "file": os.path.basename(graph.file),
        "doc": graph.doc,
        "parameters": named,
        "constants": [
            {"name": name, "type": type(value).__name__}
            for name, value in sorted(flow_constants(flow_class).items())
        ],
        "start_step": graph.start,
        "end_step": graph.end,
        "steps": {node.name: _step(flow_class, graph, node) for node in graph.steps.values()},
        "decorators": [
            {"name": each.name, "attributes": dict(each.given)}
            for owner in owners(flow_class)
            for each in vars(owner).get("flow_decorators", [])
        ],
    }


def _step(flow_class: "Any", graph: "Any", node: "StepNode") -> "dict[str, Any]":
    method = getattr(flow_class, node.name)
    kind = _JOIN_TYPES.get(node.kind, node.kind)
    if node.name == graph.start:
        kind = "start"
    elif node.is_join:
        kind = "join"
    summary: "dict[str, Any]" = {
        "name": node.name,
        "type": kind,
        "line": node.line,
        "source_file": node.file,
        "doc": node.doc,
        "next": list(node.out_steps),
        "decorators": [
            {"name": each.name, "attributes": dict(each.given)}
            for each in (step_decorators(method) if is_step(method) else [])
        ],
    }
    if node.kind == "foreach":
        summary["foreach_artifact"] = node.foreach
    if node.kind == "switch":
        summary["condition"] = node.condition
        summary["switch_cases"] = {str(case): step for case, step in node.switch_cases.items()}
    if node.matching_join is not None:
        summary["matching_join"] = node.matching_join
    return summary
