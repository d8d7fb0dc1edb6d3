"""``check``: say whether the flow is well formed."""

from __future__ import annotations

import argparse
import platform

from airflow_conda_flow.flow.definition import FlowDefinition

NAME = "check"
HELP = "Check the flow and run nothing."


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add nothing: the flow was checked when it was read."""
    del parser, definition


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Print that the flow is in order; a flow that is not never gets here.

    Raises:
        FlowDefinitionError: what its decorators say of an environment does not hold.
    """
    del arguments
    definition.step_environments(platform.python_version())
    print(f"{definition.name}: {len(definition.graph.steps)} steps, the graph looks good.")
    return 0
