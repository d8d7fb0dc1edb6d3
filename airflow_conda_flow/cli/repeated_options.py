"""Options of this command line that the commands in messages repeat, to act on the same things."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from airflow_conda_flow.cli.parser import LOCKERS
from airflow_conda_flow.flow.definition import FlowDefinition


def repeated_options(arguments: argparse.Namespace, definition: FlowDefinition) -> Iterator[str]:
    """Words to write before the command: where things are, decorators of ``--with``, and configs.

    Decorators choose the platforms of environments, and configs may choose their libraries. All commands that
    messages name take these options.

    Args:
        arguments: the parsed command line.
        definition: the flow.
    """
    for option in LOCKERS:
        value = getattr(arguments, option.removeprefix("--").replace("-", "_"))
        if value is not None:
            yield from (option, value)
    given = definition.given_configs
    for name in given.stated:
        if name in given.files:
            yield from ("--config", name, given.files[name])
        if name in given.values:
            yield from ("--config-value", name, given.values[name])
    for decorator in [*arguments.decorators_before, *getattr(arguments, "decorators", [])]:
        yield from ("--with", decorator)
