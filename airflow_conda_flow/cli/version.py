"""``version``: print the version of this package."""

from __future__ import annotations

import argparse

from airflow_conda_flow._version import __version__
from airflow_conda_flow.flow.definition import FlowDefinition

COMMON: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add nothing."""
    del parser, definition


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Print the version and nothing else."""
    del arguments, definition
    print(__version__)
    return 0
