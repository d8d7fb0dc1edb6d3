"""Entry point of ``python flow.py ...``."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from airflow_conda_flow.cli.any_text import print_any_text
from airflow_conda_flow.cli.config_options import given_configs
from airflow_conda_flow.cli.introduction import introduce
from airflow_conda_flow.cli.keywords import keyword_words
from airflow_conda_flow.cli.last_words import say_last, written_out
from airflow_conda_flow.cli.parser import build_parser, parse, take_project
from airflow_conda_flow.cli.repeated_options import repeated_options
from airflow_conda_flow.cli.signals import ended_by, exit_code
from airflow_conda_flow.errors import CondaFlowError, ParameterError
from airflow_conda_flow.flow.definition import read_flow
from airflow_conda_flow.flow.long_words import readable
from airflow_conda_flow.flow.own_command import program_command
from airflow_conda_flow.flow.own_path import own_path
from airflow_conda_flow.flow.shell_words import shell_words
from airflow_conda_flow.runner.machine_refusal import is_refusal, refusal_line


def run_as_program(flow_class: type[Any], call: tuple[Any, ...] | None = None) -> NoReturn:
    """Run the command line of a flow and end the process with its exit code.

    Args:
        flow_class: the flow.
        call: how its object was made, as ``FlowDefinition.take_call`` takes it.

    The interpreter is not torn down: py-rattler's native threads may crash during tear-down, which would
    fail a run whose work is done. It would also wait for threads that are still waiting for a connection.
    """
    code = main(flow_class, call=call)
    atexit._run_exitfuncs()  # noqa: SLF001 - what sys.exit would do
    os._exit(written_out(code))


def _program_with(flow_class: type[Any]) -> str | None:
    """Path of the main program if it imported the flow, else None. Its directory becomes the code package."""
    program = sys.modules["__main__"]
    is_there = getattr(program, flow_class.__name__, None) is flow_class
    file = getattr(program, "__file__", None)
    return own_path(file) if is_there and file else None


def _package_of(flow_class: type[Any], file: str) -> str:
    """Name of the package that a flow file is a module of; empty if it is run by its path."""
    program = sys.modules["__main__"]
    if own_path(getattr(program, "__file__", None) or "") == file:
        spec = getattr(program, "__spec__", None)  # None if it is run by its path
        return "" if spec is None else str(spec.name).rpartition(".")[0]
    package = getattr(sys.modules.get(flow_class.__module__), "__package__", None) or ""
    names = package.split(".") if package else []
    return package if Path(file).parent.parts[-len(names) :] == tuple(names) else ""


def main(
    flow_class: type[Any], argv: Sequence[str] | None = None, call: tuple[Any, ...] | None = None
) -> int:
    """Run the command line of a flow and return the exit code.

    0 means success; 1 means that the flow, its data or its run failed, with one message on stderr; 2 is a
    wrong config; above 128, a signal ended it. Any other usage error ends the process with exit code 2.
    """
    print_any_text()
    try:
        with ended_by():
            return exit_code(_execute(flow_class, argv, call))
    except CondaFlowError as error:
        say_last(readable(str(error)))
        return 1
    except KeyboardInterrupt:
        say_last("Interrupted.")
        return exit_code(1)
    except BrokenPipeError:
        return 1
    except OSError as error:
        if not is_refusal(error):
            raise
        say_last(refusal_line(error))
        return 1


def _execute(flow_class: type[Any], argv: Sequence[str] | None, call: tuple[Any, ...] | None) -> int:
    words = sys.argv[1:] if argv is None else argv
    try:
        given = given_configs(flow_class, words)
        if {"resume", "spin"} & set(words):
            # Half of the time in which other commands start.
            from airflow_conda_flow.cli.past_configs import with_required_ones  # noqa: PLC0415

            given = with_required_ones(flow_class, given, words)
        definition = read_flow(flow_class, given)
    except ParameterError as error:  # a wrong value of a config
        say_last(readable(str(error)))
        return 2
    definition.take_call(call)
    definition.file = _program_with(flow_class) or definition.file
    definition.package = _package_of(flow_class, definition.file)
    if argv is None:  # this process's own command line, whichever file its program is
        definition.started_by = program_command() or definition.started_by
    parser = build_parser(definition, words)
    # Parsed twice with a keywords file: the first pass finds the command, which knows the keywords.
    arguments = parse(parser, words)
    if arguments.keywords_file is not None:
        more = keyword_words(arguments.command_parser, arguments.keywords_file, definition)
        arguments = parse(parser, [*words, *more])
    if arguments.command is None:
        return introduce(definition)
    definition.repeated = shell_words(repeated_options(arguments, definition))
    take_project(arguments, definition)
    code: int = arguments.execute(arguments, definition)
    return code
