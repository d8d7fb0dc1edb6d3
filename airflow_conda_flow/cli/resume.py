"""``resume``: start a run that continues a past one, from its failures or from a step."""

from __future__ import annotations

import argparse

from airflow_conda_flow.cli.parser import RUNNERS, FlowArgumentParser, chosen_settings, given_decorators
from airflow_conda_flow.cli.past_configs import with_configs_of
from airflow_conda_flow.cli.past_runs import latest_run, open_catalogue, run_of
from airflow_conda_flow.cli.run import add_run_options, start_run
from airflow_conda_flow.datastore.run_memory import RunMemory
from airflow_conda_flow.flow.decorators.base import nearest
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.username import username
from airflow_conda_flow.runner.stores import open_settings_datastore

COMMON: tuple[str, ...] = RUNNERS


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add the step, the run to resume, and the options of a run."""
    step = parser.add_argument(
        "step",
        nargs="?",
        metavar="STEP",
        help="run this step again, and all after it; else what failed or did not run: "
        + ", ".join(definition.graph.steps),
    )
    step.words = list(definition.graph.steps)  # type: ignore[attr-defined]  # read by completion
    parser.add_argument(
        "--origin-run-id",
        metavar="ID",
        help="the run to resume, made here or by Airflow (default: your latest one)",
    )
    add_run_options(parser)


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Run what the origin lacks; return 0 when every task finished, else 1."""
    step = arguments.step
    parser: FlowArgumentParser = arguments.command_parser
    if definition.given_configs.stated:
        parser.error(
            "'resume' keeps the configs of the run that it resumes. Leave out --config and --config-value, "
            "or start anew with 'run'."
        )
    if step is not None and step not in definition.graph.steps:
        known = definition.graph.steps
        parser.error(
            f"{definition.name} has no step {step!r}.{nearest(step, known)} It has: {', '.join(known)}."
        )
    settings = chosen_settings(arguments)
    catalogue = open_catalogue(settings)
    if arguments.origin_run_id is None:
        origin = latest_run(catalogue, definition.name, "--origin-run-id")
    else:
        origin = run_of(catalogue, definition.name, arguments.origin_run_id, "--origin-run-id")
    RunMemory(open_settings_datastore(settings), origin.flow, origin.run_id).check_run()
    definition = with_configs_of(origin, definition, catalogue)
    # After the configs: decorators may use them, so the definition was read again.
    definition.attach(given_decorators(arguments))
    parameters = definition.added_parameter_values(origin.parameters, username())
    rerun = frozenset() if step is None else frozenset({step})
    return start_run(arguments, definition, parameters, settings, origin, rerun)
