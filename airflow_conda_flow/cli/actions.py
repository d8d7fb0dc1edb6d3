"""Commands with commands of their own, such as ``tag add``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_conda_flow.cli.parser import Execute, FlowArgumentParser, add_common_options


@dataclass(frozen=True)
class Action:
    """One command of a command.

    Attributes:
        name: what is written.
        help: one sentence.
        add_arguments: adds what it takes to its parser.
        execute: does it; returns the exit code.
    """

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    execute: Execute


def add_actions(parser: argparse.ArgumentParser, actions: Sequence[Action]) -> None:
    """Add commands to a command's parser; one of them has to be written."""
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="action", required=True, parser_class=FlowArgumentParser
    )
    for action in actions:
        command = commands.add_parser(action.name, help=action.help, description=action.help)
        add_common_options(command, inherited=True)
        action.add_arguments(command)
        command.set_defaults(execute=action.execute, command_parser=command)
