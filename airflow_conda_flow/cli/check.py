"""``check``: report if the flow is well formed."""

from __future__ import annotations

import argparse
import platform
import shlex
import sys

from airflow_conda_flow._version import __version__
from airflow_conda_flow.cli.parser import chosen_settings
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.errors import CondaFlowError
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.username import username
from airflow_conda_flow.runner.code_sources import CodeSources
from airflow_conda_flow.runner.lacking_modules import lacking_modules

NAME = "check"
HELP = "Check the flow and run nothing."
COMMON: tuple[str, ...] = ()


def introduce(definition: FlowDefinition) -> int:
    """Print that the flow is valid and which commands to try; used when no command is given."""
    print(f"airflow-conda-flow {__version__} executing {definition.name} for user:{username()}")
    print("Validating your flow...")
    print("    The graph looks good!")
    print()
    print(f"'{definition.command('show')}' shows a description of this flow.")
    print(f"'{definition.command('run')}' runs the flow locally.")
    print(f"'{definition.command('help')}' shows all available commands and options.")
    return 0


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add the options of Metaflow's ``check``."""
    del definition
    parser.add_argument(
        "--warnings",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="print the command that runs Pylint, which is not part of this package",
    )


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Print that the flow is valid. Its graph was checked when the flow was read.

    Raises:
        FlowDefinitionError: the decorators of a step describe an impossible environment, or one has a range
            of versions and the flow has no lock file.
    """
    # Called for its checks only. No other Python may be known yet, so this one is the default.
    definition.step_environments(platform.python_version())
    definition.check_versions()
    print(f"{definition.name}: {len(definition.graph.steps)} steps, the graph looks good.")
    lines = definition.warnings
    if definition.declares_conda or arguments.environment == "conda":
        lines = [*lines, *_lacking_modules(arguments, definition)]
    for line in lines:
        sys.stderr.write(f"{line}\n")
    if arguments.warnings:
        sys.stderr.write(f"Pylint is not run here. For its warnings: pylint {shlex.quote(definition.file)}\n")
    return 0


def _lacking_modules(arguments: argparse.Namespace, definition: FlowDefinition) -> list[str]:
    """Lines about modules that steps lack in their environments; nothing is solved for them."""
    from airflow_conda_flow.environments.lock_file import read_lock_file  # noqa: PLC0415 - only here
    from airflow_conda_flow.environments.step_specs import step_requests  # noqa: PLC0415 - the same

    try:
        sources = CodeSources.of(definition, chosen_settings(arguments).package_modules)
        file = read_lock_file(definition.file, definition.lock_command)
        requests = step_requests(definition, lambda _step: current_platform(), is_locked=True)
    except CondaFlowError:  # those who make the environments say it
        return []
    packages = {}
    for step, request in requests.items():
        lock = None if file is None else file.lock(request, current_platform())
        packages[step] = request.names if lock is None else {each.name for each in lock.packages}
    return lacking_modules(definition, sources, packages)
