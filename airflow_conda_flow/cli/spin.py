"""``spin``: run one step in its current version, with the inputs of a past run; no past run changes."""

from __future__ import annotations

import argparse
import json
import os
import runpy
import threading
from pathlib import Path
from typing import Any

from airflow_conda_flow.cli.exact_versions import check_versions
from airflow_conda_flow.cli.parser import RUNNERS, FlowArgumentParser, chosen_settings
from airflow_conda_flow.cli.past_configs import given_values, with_configs_of
from airflow_conda_flow.cli.past_runs import latest_run, open_catalogue, run_of
from airflow_conda_flow.cli.run import write_for_callers
from airflow_conda_flow.cli.signals import ended_by
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.errors import ParameterError, SettingError
from airflow_conda_flow.flow.decorators.base import nearest
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.local.console import Console
from airflow_conda_flow.local.spin import FOLDER, Spin, SpinOptions
from airflow_conda_flow.records.names import indices, task_id
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.runner.signals import outside_handler

COMMON: tuple[str, ...] = RUNNERS


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add the task, and the differences from its run."""
    task = parser.add_argument(
        "pathspec",
        metavar="STEP|RUN_ID/STEP/TASK_ID",
        help="a step with the inputs that its first task has in your latest run, or those of a task: "
        + ", ".join(definition.graph.steps),
    )
    task.words = list(definition.graph.steps)  # type: ignore[attr-defined]  # read by completion
    parser.add_argument(
        "--artifacts-module",
        metavar="FILE",
        help="a Python file with a dict ARTIFACTS: values that stand in for inputs of that name",
    )
    parser.add_argument(
        "--persist",
        action=argparse.BooleanOptionalAction,
        default=False,
        help=f"keep the artifacts in {FOLDER}, for the client's inspect_spin",
    )
    parser.add_argument(
        "--skip-decorators",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="run the step without its decorators, in this interpreter",
    )
    parser.add_argument("--run-id-file", metavar="FILE", help="write the id of the task's run to this file")
    parser.add_argument(
        "--runner-attribute-file",
        metavar="FILE",
        help="write the task's flow, run, step, id and datastore to this file once it begins, as JSON",
    )


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Run the task; return 0 when it is done, else 1."""
    settings = chosen_settings(arguments)
    catalogue = open_catalogue(settings)
    run_id, step, task = _parts(arguments, definition)
    origin = (
        latest_run(catalogue, definition.name, "RUN_ID/STEP/TASK_ID")
        if run_id is None
        else run_of(catalogue, definition.name, run_id)
    )
    definition = with_configs_of(origin, definition, catalogue, definition.given_configs)
    definition.attach(arguments.decorators_before)  # not the default ones: Metaflow's spin has none either
    check_versions(arguments, definition, settings)
    console = Console(quiet=arguments.quiet)
    options = SpinOptions(
        origin=origin,
        step=step,
        indices=_indices(catalogue, origin, definition, step, task),
        environment=arguments.environment,
        persist=arguments.persist,
        plain=arguments.skip_decorators,
        replaced={**given_values(definition), **_replaced(arguments.artifacts_module)},
    )
    spin = Spin(definition, settings, options, console)
    console.note(f"Spinning step {step} of {definition.name} with the inputs of run {origin.run_id}")

    # As in ``run``: a signal interrupts the preparation, but cancels a task that runs.
    cancel = threading.Event()

    def end() -> None:
        cancel.set()
        console.note("Interrupted: ending the task that runs.")

    with spin.prepared() as run, ended_by(lambda _number, _frame: outside_handler(end)):
        _tell_callers(arguments, definition.name, step, spin)
        return 0 if run(cancel) and not console.has_lost_lines else 1


def _tell_callers(arguments: argparse.Namespace, flow: str, step: str, spin: Spin) -> None:
    found = {
        "flow_name": flow,
        "run_id": spin.run_id,
        "step_name": step,
        "task_id": spin.task,
        "metadata": spin.datastore_name,
    }
    if arguments.run_id_file:
        write_for_callers("--run-id-file", arguments.run_id_file, spin.run_id)
    if arguments.runner_attribute_file:
        write_for_callers("--runner-attribute-file", arguments.runner_attribute_file, json.dumps(found))


def _parts(arguments: argparse.Namespace, definition: FlowDefinition) -> tuple[str | None, str, str | None]:
    """Run id, step and task id in the pathspec; None for a run or task that is not named."""
    words = arguments.pathspec.removeprefix(f"{definition.name}/").split("/")
    steps = definition.graph.steps
    parser: FlowArgumentParser = arguments.command_parser
    if len(words) > 3 or not all(words):  # noqa: PLR2004 - run, step, task
        parser.error(f"{arguments.pathspec!r} names no task. Write STEP, or RUN_ID/STEP/TASK_ID.")
    step = words[0] if len(words) == 1 else words[1]
    if step not in steps:
        parser.error(
            f"{definition.name} has no step {step!r}.{nearest(step, steps)} It has: {', '.join(steps)}."
        )
    return words[0] if len(words) > 1 else None, step, words[2] if len(words) > 2 else None  # noqa: PLR2004


def _indices(
    catalogue: RunCatalogue, origin: RunRecord, definition: FlowDefinition, step: str, task: str | None
) -> tuple[int, ...]:
    """Index path of the task; without a task id, of the step's first task, else of the first split."""
    depth = definition.graph.foreach_depth(step)
    if task is None:
        known = catalogue.task_ids(definition.name, origin.run_id, step)
        task = known[0] if known else task_id(step, (0,) * depth)
    try:
        return indices(step, task, depth)
    except ValueError:
        raise SettingError(
            f"There is no task {task!r} of step {step!r}: {depth} foreach are around it, so its first task "
            f"is {task_id(step, (0,) * depth)}."
        ) from None


def _replaced(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    if not os.path.isfile(path):  # noqa: PTH113 - Path raises an error for a name that is too long
        raise SettingError(f"--artifacts-module {path}: there is no such file.")
    artifacts = runpy.run_path(path).get("ARTIFACTS")
    if not isinstance(artifacts, dict) or not all(isinstance(name, str) for name in artifacts):
        raise ParameterError(
            f"ARTIFACTS is {artifacts!r}; write a dict of values by name.", str(Path(path).absolute()), 1
        )
    return artifacts
