"""``help``: show all available commands."""

from __future__ import annotations

import argparse

from airflow_conda_flow.cli.parser import build_parser
from airflow_conda_flow.flow.definition import FlowDefinition

COMMON: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add nothing."""
    del parser, definition


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Print the same text as ``--help``."""
    del arguments
    build_parser(definition).print_help()
    return 0
