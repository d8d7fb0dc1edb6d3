"""``check``: report if the flow is well formed."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from airflow_conda_flow.cli.parser import chosen_settings, given_decorators
from airflow_conda_flow.compute.placement import Placement
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.environments.step_specs import environment_specs
from airflow_conda_flow.environments.virtual_packages import check_this_machine
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.shell_words import shell_word
from airflow_conda_flow.records.lock_file import lock_file_of
from airflow_conda_flow.runner.code_sources import CodeSources
from airflow_conda_flow.runner.lacking_modules import lacking_modules

COMMON: tuple[str, ...] = ()


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
            of versions and the flow has no lock file, or its lock file is damaged, or lacks an environment.
        SettingError: the setting ``package_modules`` names a module that a code package cannot have, or this
            machine is older than the one that environments were solved for.
    """
    definition.attach(given_decorators(arguments))
    settings = chosen_settings(arguments)
    # Called for its checks only. No other Python may be known yet, so this one is the default.
    definition.step_environments(platform.python_version())
    definition.check_versions()
    sources = CodeSources.of(definition, settings.package_modules)
    specs: Mapping[str, EnvironmentSpec] = {}
    is_locked = Path(lock_file_of(definition.file)).exists()
    if arguments.environment == "conda" or definition.declares_conda or is_locked:
        placement = Placement.of(definition.decorators)
        specs = environment_specs(definition, settings, placement.platforms(settings))
        here = {step: spec for step, spec in specs.items() if not placement.is_remote(step)}
        check_this_machine(here, definition.lock_command)
    print(f"{definition.name}: {len(definition.graph.steps)} steps, the graph looks good.")
    packages = {step: spec.names for step, spec in specs.items()}  # nothing is solved for more of them
    for line in (*definition.warnings, *lacking_modules(definition, sources, packages)):
        sys.stderr.write(f"{line}\n")
    if arguments.warnings:
        sys.stderr.write(f"Pylint is not run here. For its warnings: pylint {shell_word(definition.file)}\n")
    return 0
