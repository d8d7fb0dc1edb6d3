"""``resume``: start a run where another one failed, or from a step on."""

from __future__ import annotations

import argparse

from airflow_conda_flow.cli.parser import FlowArgumentParser, chosen_settings
from airflow_conda_flow.cli.past_runs import open_catalogue, run_of
from airflow_conda_flow.cli.run import add_run_options, start_run
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.manifests import Manifest
from airflow_conda_flow.errors import ObjectNotFound
from airflow_conda_flow.flow.config_input import GivenConfigs
from airflow_conda_flow.flow.decorators import nearest
from airflow_conda_flow.flow.definition import FlowDefinition, read_flow
from airflow_conda_flow.flow.username import username
from airflow_conda_flow.runtime import pickling

NAME = "resume"
HELP = "Resume execution of a previous run of this flow."
_BATCH = 16


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add the step, the origin, and the options of a run."""
    step = parser.add_argument(
        "step",
        nargs="?",
        metavar="STEP",
        help="run this step again, and all after it; else what failed or did not run: "
        + ", ".join(definition.graph.steps),
    )
    step.words = list(definition.graph.steps)  # type: ignore[attr-defined]  # what completion offers
    parser.add_argument(
        "--origin-run-id",
        metavar="ID",
        help="the run to resume, made here or by Airflow (default: your latest one)",
    )
    add_run_options(parser)


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Run what the origin lacks; 0 when every task finished, else 1."""
    step = arguments.step
    if step is not None and step not in definition.graph.steps:
        parser: FlowArgumentParser = arguments.command_parser
        known = definition.graph.steps
        parser.error(
            f"{definition.name} has no step {step!r}.{nearest(step, known)} It has: {', '.join(known)}."
        )
    settings = chosen_settings(arguments)
    catalogue = open_catalogue(settings)
    if arguments.origin_run_id is None:
        origin = _latest(catalogue, definition.name)
    else:
        origin = run_of(catalogue, definition.name, arguments.origin_run_id)
    definition = _with_configs_of(origin, definition, catalogue)
    definition.attach([*arguments.decorators_before, *arguments.decorators])
    parameters = definition.added_parameter_values(origin["parameters"], username())
    rerun = frozenset() if step is None else frozenset({step})
    return start_run(arguments, definition, parameters, settings, origin, rerun)


def _with_configs_of(origin: Manifest, definition: FlowDefinition, catalogue: RunCatalogue) -> FlowDefinition:
    """The flow as it is with the configs of the run that is resumed."""
    refs = {name: origin["parameters"][name] for name in definition.configs if name in origin["parameters"]}
    if not refs:
        return definition
    stored = {
        name: pickling.load_from_file(catalogue.artifact(ref["sha256"], ref["size"]))
        for name, ref in refs.items()
    }
    found = read_flow(definition.flow_class, GivenConfigs(stored=stored))
    found.branch, found.production = definition.branch, definition.production
    return found


def _latest(catalogue: RunCatalogue, flow: str) -> Manifest:
    """The latest run of whoever asks."""
    wanted = f"user:{username()}"
    run_ids = catalogue.run_ids(flow)
    for start in range(0, len(run_ids), _BATCH):
        for run in catalogue.runs(flow, run_ids[start : start + _BATCH]):
            if run is not None and wanted in run["system_tags"]:
                return run
    raise ObjectNotFound(
        f"There is no run of {flow} by {wanted} in {catalogue.describe()} to resume. "
        "Name one of somebody else with --origin-run-id, or start with 'run'."
    )
