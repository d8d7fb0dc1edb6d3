"""Subcommands of a command, such as ``tag add``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from airflow_conda_flow.cli.parser import READERS, Execute, FlowArgumentParser, add_common_options


@dataclass(frozen=True)
class Action:
    """A subcommand.

    Attributes:
        name: word on the command line.
        help: one sentence.
        add_arguments: adds the subcommand's arguments to its parser.
        execute: runs the subcommand; returns the exit code.
        common: options of the flow file that the subcommand uses.
    """

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    execute: Execute
    common: Collection[str] = READERS


def add_actions(parser: argparse.ArgumentParser, actions: Sequence[Action]) -> None:
    """Add subcommands to a command's parser; the user must give one of them."""
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="action", required=True, parser_class=FlowArgumentParser
    )
    for action in actions:
        command = commands.add_parser(action.name, help=action.help, description=action.help)
        add_common_options(command, inherited=True, used=action.common)
        action.add_arguments(command)
        # A subparser's defaults override the command's: ``execute`` is now the subcommand's.
        command.set_defaults(execute=action.execute, command_parser=command)
