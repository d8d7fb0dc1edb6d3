"""Commands of a flow file: modules with ``NAME``, ``HELP``, ``COMMON``, ``add_arguments`` and ``execute``."""

from __future__ import annotations

from typing import Any

from airflow_conda_flow.cli import (
    card,
    check,
    completion,
    dump,
    environment,
    logs,
    output_dot,
    output_raw,
    package,
    resume,
    run,
    show,
    show_help,
    spin,
    tag,
    version,
)
from airflow_conda_flow.cli.unfinished import unfinished_commands

# ``--help`` lists them in this order: the most used ones first.
COMMANDS: tuple[Any, ...] = (
    run,
    resume,
    spin,
    show,
    check,
    dump,
    logs,
    tag,
    card,
    package,
    environment,
    *unfinished_commands(),
    output_dot,
    output_raw,
    completion,
    show_help,
    version,
)
