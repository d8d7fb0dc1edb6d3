"""``output-raw``: print the flow's graph as JSON, as ``show --json`` does."""

from __future__ import annotations

import argparse

from airflow_conda_flow.cli import show
from airflow_conda_flow.flow.definition import FlowDefinition

COMMON: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add ``--json``, which scripts for Metaflow pass; the output is always JSON."""
    del definition
    parser.add_argument("--json", action="store_true", default=True, help="the default")


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Print the graph."""
    return show.execute(arguments, definition)
