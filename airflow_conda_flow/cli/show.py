"""``show``: print the flow's steps with their docstrings."""

from __future__ import annotations

import argparse
import json
import textwrap

from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.records.graph import StepNode

COMMON: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add the choice of format."""
    del definition
    parser.add_argument("--json", action="store_true", help="print the graph as JSON")


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Print every step, in an order in which they can run, or the graph as JSON."""
    graph = definition.graph
    if arguments.json:
        print(json.dumps(graph.to_dict(), indent=4))
        return 0
    if graph.doc:
        print(f"\n{textwrap.dedent(graph.doc).strip()}")
    for node in graph.topological():
        print(f"\nStep {node.name}")
        print(textwrap.indent(textwrap.dedent(node.doc or "?").strip(), "    "))
        following = _following(node)
        if following:
            print(f"    => {following}")
    print()
    return 0


def _following(node: StepNode) -> str:
    targets = ", ".join(node.out_steps)
    if node.kind == "foreach":
        return f"{targets} (for each of self.{node.foreach})"
    if node.kind == "switch":
        return f"{targets} (one of them, by self.{node.condition})"
    return targets
