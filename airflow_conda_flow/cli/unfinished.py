"""Subcommands of ``kubernetes`` and ``batch``: list or end the unfinished pods or jobs of runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from airflow_conda_flow.cli.actions import Action, add_actions
from airflow_conda_flow.cli.parser import chosen_settings, given_decorators
from airflow_conda_flow.cli.past_runs import open_catalogue, run_of
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.errors import ObjectNotFound
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.username import username
from airflow_conda_flow.settings.loading import Settings


@dataclass(frozen=True)
class Unfinished:
    """A pod or job that has not ended.

    Attributes:
        run_id: id of its run.
        task: name of its attempt, as ``flow/run/step/task/attempt``.
        name: ``namespace/pod`` or ``queue/job id``.
        state: state in the words of Kubernetes or Batch.
        end: asks Kubernetes or Batch to end it, without waiting.
    """

    run_id: str
    task: str
    name: str
    state: str
    end: Callable[[], None]


Find = Callable[[Settings, FlowDefinition], Iterable[Unfinished]]


def add_unfinished_actions(parser: argparse.ArgumentParser, what: str, find: Find) -> None:
    """Add the subcommands ``list`` and ``kill``.

    Args:
        parser: parser of the command.
        what: ``pods`` or ``jobs``.
        find: yields those of all runs of the flow.
    """

    def show(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
        return _each(_chosen(arguments, definition, find), lambda each: each.state, what)

    def end(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
        def told(each: Unfinished) -> str:
            each.end()
            return "told to end"

        return _each(_chosen(arguments, definition, find), told, what)

    add_actions(
        parser,
        [
            Action("list", f"List the {what} of the latest run that have not ended.", _add_runs, show),
            Action("kill", f"End the {what} of the latest run that have not ended.", _add_runs, end),
        ],
    )


def _add_runs(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--run-id", metavar="ID", help="those of another run")
    which.add_argument("--my-runs", action="store_true", help="those of all your runs")
    which.add_argument("--user", metavar="NAME", help="those of all runs of a user")


def _chosen(arguments: argparse.Namespace, definition: FlowDefinition, find: Find) -> Iterator[Unfinished]:
    settings = chosen_settings(arguments)
    definition.attach(given_decorators(arguments))
    run_ids = _run_ids(arguments, definition.name, open_catalogue(settings))
    return (each for each in find(settings, definition) if each.run_id in run_ids)


def _run_ids(arguments: argparse.Namespace, flow: str, catalogue: RunCatalogue) -> Collection[str]:
    if arguments.run_id is not None:
        return [run_of(catalogue, flow, arguments.run_id).run_id]
    known = catalogue.run_ids(flow)
    if not known:
        raise ObjectNotFound(f"There is no run of {flow} in {catalogue.describe()}.")
    if not arguments.my_runs and arguments.user is None:
        return known[:1]
    tag = f"user:{arguments.user or username()}"
    return {run.run_id for run in catalogue.runs(flow, known) if run and tag in run.system_tags}


def _each(chosen: Iterable[Unfinished], said: Callable[[Unfinished], str], what: str) -> int:
    """Act on each pod or job and print a line with the result."""
    found = False
    for each in chosen:
        found = True
        print(f"{each.task}  {each.name}  {said(each)}")
    if not found:
        sys.stderr.write(f"No such {what} are there.\n")
    return 0
