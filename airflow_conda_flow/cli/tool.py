"""Command ``airflow-conda-flow``: tools that do not belong to a single flow."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow_conda_flow._version import __version__
from airflow_conda_flow.cli import cache, channel, datastore
from airflow_conda_flow.cli.any_text import print_any_text
from airflow_conda_flow.cli.last_words import say_last, written_out
from airflow_conda_flow.cli.parser import FlowArgumentParser
from airflow_conda_flow.cli.signals import ended_by, exit_code
from airflow_conda_flow.errors import CondaFlowError
from airflow_conda_flow.flow.long_words import readable


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code. A usage error ends the process with exit code 2."""
    print_any_text()
    parser = FlowArgumentParser(prog="airflow-conda-flow", description="Tools around flows.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=FlowArgumentParser
    )
    channel.add_commands(commands)
    datastore.add_commands(commands)
    cache.add_commands(commands)
    arguments = _parse(parser, argv)
    return written_out(_execute(arguments))


def _execute(arguments: argparse.Namespace) -> int:
    try:
        with ended_by():
            code: int = arguments.execute(arguments)
            return exit_code(code)
    except BrokenPipeError:
        return 1
    except (CondaFlowError, OSError) as error:  # OSError: a full disk, a taken port
        say_last(readable(str(error)))
        return 1
    except KeyboardInterrupt:
        say_last("Interrupted.")
        return exit_code(1)


def _parse(parser: FlowArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parsed arguments. Requirements may come before and after options, which argparse does not support."""
    arguments, rest = parser.parse_known_args(argv)
    options = [word for word in rest if word.startswith("-")]
    if options or (rest and not hasattr(arguments, "requirements")):
        parser.error(f"unrecognized arguments: {' '.join(options or rest)}")
    if rest:
        arguments.requirements.extend(rest)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
