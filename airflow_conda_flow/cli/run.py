"""``run``: run the flow, scheduled by this process."""

from __future__ import annotations

import argparse
import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_conda_flow.cli.exact_versions import check_versions
from airflow_conda_flow.cli.parameter_options import add_parameter_options, parameter_values
from airflow_conda_flow.cli.parser import RUNNERS, chosen_settings, given_decorators
from airflow_conda_flow.cli.past_runs import open_catalogue
from airflow_conda_flow.cli.run_hooks import RunHooks
from airflow_conda_flow.cli.signals import ended_by
from airflow_conda_flow.cli.trigger_option import add_trigger_option
from airflow_conda_flow.cli.triggering_runs import trigger_events
from airflow_conda_flow.compute.placement import Placement
from airflow_conda_flow.datastore.atomic_file import new_file_beside, write_all
from airflow_conda_flow.datastore.left_behind import clear_once
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.local.console import Console
from airflow_conda_flow.local.run import LocalRun, RunOptions
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.settings.loading import Settings

COMMON: tuple[str, ...] = RUNNERS


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add the options of a run and an option for each parameter of the flow."""
    add_run_options(parser)
    if all(each.name != "trigger" for each in definition.parameters):
        add_trigger_option(parser, definition, inherited=True)
    add_parameter_options(parser, definition)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``run`` and ``resume`` share."""
    # 16 and 100 are Metaflow's defaults.
    parser.add_argument(
        "--max-workers", type=_positive, default=16, metavar="N", help="tasks at once (default 16)"
    )
    parser.add_argument(
        "--max-num-splits",
        type=_positive,
        default=100,
        metavar="N",
        help="how many splits a foreach may have (default 100)",
    )
    parser.add_argument(
        "--tag", action="append", default=[], metavar="TAG", help="a tag of the run; may be given again"
    )
    parser.add_argument("--run-id-file", metavar="FILE", help="write the run's id to this file")
    parser.add_argument(
        "--runner-attribute-file",
        metavar="FILE",
        help="write the run's flow, id and datastore to this file once it has begun, as JSON",
    )
    parser.add_argument(
        "--with",
        dest="decorators",
        action="append",
        default=[],
        metavar="DECORATOR",
        help="give every step a decorator, such as kubernetes or retry:times=3; may be given again",
    )
    parser.add_argument(
        "--namespace",
        metavar="TAG",
        help="the tag of the past runs that the client shows in steps (default user:<you>); empty for all",
    )


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Run the flow; return 0 when every task finished, else 1."""
    definition.attach(given_decorators(arguments))
    settings = chosen_settings(arguments)
    parameters = parameter_values(arguments, definition, settings.datastore)
    return start_run(arguments, definition, parameters, settings)


def start_run(
    arguments: argparse.Namespace,
    definition: FlowDefinition,
    parameters: Mapping[str, Any],
    settings: Settings,
    resumed: RunRecord | None = None,
    rerun: frozenset[str] = frozenset(),
) -> int:
    """Run the flow to its end and return the exit code.

    Args:
        arguments: parsed command line, with the options of ``add_run_options``.
        definition: the flow, with its decorators attached.
        parameters: values by attribute.
        settings: the settings in force.
        resumed: run that this one resumes.
        rerun: steps that a resumed run runs again.

    Raises:
        SettingError: a file for callers cannot be written.
        FlowDefinitionError: a version is a range, and the flow has no lock file.
    """
    check_versions(arguments, definition, settings)
    console = Console(quiet=arguments.quiet)
    for line in definition.warnings:
        console.note(line)
    run = LocalRun(
        definition,
        settings,
        RunOptions(
            environment=arguments.environment,
            parameters=parameters,
            tags=tuple(arguments.tag),
            max_workers=arguments.max_workers,
            max_num_splits=arguments.max_num_splits,
            namespace=arguments.namespace,
            resumed=resumed,
            rerun=rerun,
            trigger=_trigger(arguments, settings),
        ),
        console,
    )
    for option, path in (
        ("--run-id-file", arguments.run_id_file),
        ("--runner-attribute-file", arguments.runner_attribute_file),
    ):
        if path is not None:  # before environments are made, which takes minutes
            check_for_callers(option, path)
    hooks = RunHooks(definition, run, console)
    is_local = not Placement.of(definition.decorators).remote_steps
    left = "" if is_local else "Pods and jobs of the run may be left."
    # Until the scheduler exists a signal raises KeyboardInterrupt, which stops solving and downloading.
    # From then on it tells the scheduler to end the tasks first.
    with (
        hooks.around(),
        run.prepared() as scheduler,
        ended_by(lambda _number, _frame: scheduler.interrupt(), left),
    ):
        hooks.has_begun = True
        # Once the run has a manifest: a caller may take the id to resume the run, whatever happens from here.
        if arguments.run_id_file:
            write_for_callers("--run-id-file", arguments.run_id_file, run.run_id)
        if arguments.runner_attribute_file:
            found = {"flow_name": definition.name, "run_id": run.run_id, "metadata": run.datastore_name}
            path = arguments.runner_attribute_file
            write_for_callers("--runner-attribute-file", path, json.dumps(found))
        outcome = scheduler.run()
    if outcome.ok:
        hooks.call(succeeded=True)
        console.run_line("Done!")
        if not console.has_lost_lines:
            return 0
        console.error(
            f"Run {run.run_id} is done, but lines of it could not be written. "
            "The command logs prints what its tasks printed."
        )
        return 1
    console.error("Workflow interrupted." if outcome.interrupted else "Workflow failed.")
    for pathspec in outcome.failed:
        console.error(f"  Task {definition.name}/{pathspec} failed; its lines above say why.")
    hooks.call(succeeded=False)
    return 1


def _trigger(arguments: argparse.Namespace, settings: Settings) -> list[dict[str, Any]] | None:
    pathspecs = getattr(arguments, "trigger", None)
    return trigger_events(pathspecs, open_catalogue(settings)) if pathspecs else None


def check_for_callers(option: str, path: str) -> None:
    """Raise ``SettingError`` if ``write_for_callers`` would."""
    if not path:
        raise SettingError(f"{option} takes the name of a file; it is empty.")
    folder = Path(path).parent
    try:
        code = errno.ENOENT if not folder.is_dir() else errno.EISDIR if Path(path).is_dir() else None
        if code is None and not os.access(folder, os.W_OK) and not os.access(path, os.W_OK):
            code = errno.EACCES
        if code is not None:
            raise OSError(code, os.strerror(code))  # noqa: TRY301 - as the file system itself does
    except OSError as error:  # also that of a name which is too long
        raise _unwritable(option, path, error) from error


def _unwritable(option: str, path: str, error: OSError) -> SettingError:
    return SettingError(
        f"{option} {path} cannot be written: {error.strerror}. Name a file in a directory that exists."
    )


def write_for_callers(option: str, path: str, text: str) -> None:
    """Write a file that another program may be waiting for; a regular file appears whole."""
    target = Path(path)
    try:
        if target.exists() and not target.is_file():  # a pipe or a terminal cannot be replaced
            target.write_text(text, encoding="utf-8")
            return
        target = target.absolute()
        clear_once(target.parent)
        with new_file_beside(target) as (part, descriptor):
            write_all(descriptor, text.encode("utf-8"))
            Path(part).replace(target)
    except OSError as error:
        raise _unwritable(option, path, error) from error


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, got {text!r}")
    return number
