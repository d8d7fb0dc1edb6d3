"""``output-dot``: print the flow's graph in Graphviz's DOT language."""

from __future__ import annotations

import argparse
import sys

from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.records.graph import StepNode

COMMON: tuple[str, ...] = ("--quiet",)


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add nothing: the whole graph is printed."""
    del parser, definition


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Print the graph; instructions for drawing it go to stderr."""
    if not arguments.quiet:
        sys.stderr.write(
            "Visualizing the flow as a GraphViz graph\n"
            "    Try piping the output to 'dot -Tpng -o graph.png' to produce an actual image.\n"
        )
    nodes = definition.graph.topological()
    print(f"digraph {definition.name} {{")
    for node in nodes:
        print(
            f'"{node.name}"[ label = <<b>{node.name}</b> | <font point-size="10">{_kind(node)}</font>>   '
            'fontname = "Helvetica"   shape = "record" ];'
        )
    for node in nodes:
        cases: dict[str, list[str]] = {}
        for value, target in node.switch_cases.items():
            cases.setdefault(target, []).append(str(value))
        for target in dict.fromkeys(node.out_steps):
            # An edge of a switch is labelled with all values that lead to its step.
            label = ", ".join(cases.get(target, ())).replace("\\", "\\\\").replace('"', '\\"')
            shown = f' [ label = "{label}" ]' if label else ""
            print(f'"{node.name}" -> "{target}"{shown};')
    print("}")
    return 0


def _kind(node: StepNode) -> str:
    if not node.is_join:
        return node.kind
    return "join" if node.kind == "linear" else f"join, {node.kind}"
