"""``output-raw``: the flow's graph as JSON; what ``show --json`` prints."""

from __future__ import annotations

import argparse

from airflow_conda_flow.cli import show
from airflow_conda_flow.flow.definition import FlowDefinition

NAME = "output-raw"
HELP = "Print the graph of the flow as JSON."


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add what scripts for Metaflow give; it is JSON always."""
    del definition
    parser.add_argument("--json", action="store_true", default=True, help="as is the default")


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Print it."""
    return show.execute(arguments, definition)
