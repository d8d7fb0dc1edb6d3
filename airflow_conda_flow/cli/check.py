"""``check``: say whether the flow is well formed."""

from __future__ import annotations

import argparse
import platform

from airflow_conda_flow._version import __version__
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.username import username

NAME = "check"
HELP = "Check the flow and run nothing."


def introduce(definition: FlowDefinition, prog: str) -> int:
    """Say that the flow is in order, and what can be done with it; for a command line without a command."""
    print(f"airflow-conda-flow {__version__} executing {definition.name} for user:{username()}")
    print("Validating your flow...")
    print("    The graph looks good!")
    print()
    print(f"'{prog} show' shows a description of this flow.")
    print(f"'{prog} run' runs the flow locally.")
    print(f"'{prog} help' shows all available commands and options.")
    return 0


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
