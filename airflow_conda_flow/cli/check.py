"""``check``: say whether the flow is well formed."""

from __future__ import annotations

import argparse
import platform
import sys
from pathlib import Path

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
    """Add what Metaflow's has; the flow was checked when it was read."""
    del definition
    parser.add_argument(
        "--warnings",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="say how to have the warnings of Pylint, which is not part of this",
    )


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Print that the flow is in order; a flow that is not never gets here.

    Raises:
        FlowDefinitionError: what its decorators say of an environment does not hold.
    """
    definition.step_environments(platform.python_version())
    print(f"{definition.name}: {len(definition.graph.steps)} steps, the graph looks good.")
    if arguments.warnings:
        sys.stderr.write(f"Pylint is not run here. For its warnings: pylint {Path(definition.file).name}\n")
    return 0
