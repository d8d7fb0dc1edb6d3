"""Commands such as ``kubernetes`` and ``batch``: list or end the unfinished pods or jobs of runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Iterable

from airflow_conda_flow.cli.actions import Action, add_actions
from airflow_conda_flow.cli.parser import FlowArgumentParser, chosen_settings, given_decorators
from airflow_conda_flow.cli.past_runs import open_catalogue, run_of
from airflow_conda_flow.compute.unfinished import Unfinished
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.errors import ObjectNotFound
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.places import Place
from airflow_conda_flow.flow.username import username


class UnfinishedCommand:
    """Command with the name of a place, whose subcommands act on what is left running there.

    Args:
        place: a place that can find what is unfinished.
    """

    COMMON: tuple[str, ...] = ()

    def __init__(self, place: Place) -> None:
        self._place = place

    def add_arguments(self, parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
        """Add the subcommands ``list`` and ``kill``."""
        del definition
        what = f"the {self._place.things} of the latest run that have not ended."
        add_actions(
            parser,
            [
                Action("list", f"List {what}", _add_runs, self._list),
                Action("kill", f"End {what}", _add_runs, self._kill),
            ],
        )

    def execute(self, arguments: argparse.Namespace, definition: FlowDefinition) -> int:
        """Report a missing subcommand; argparse does so first, as a subcommand is required."""
        del definition
        parser: FlowArgumentParser = arguments.command_parser
        parser.error("write list or kill")

    def _list(self, arguments: argparse.Namespace, definition: FlowDefinition) -> int:
        return self._each(arguments, definition, lambda each: each.state)

    def _kill(self, arguments: argparse.Namespace, definition: FlowDefinition) -> int:
        def told(each: Unfinished) -> str:
            each.end()
            return "told to end"

        return self._each(arguments, definition, told)

    def _each(
        self,
        arguments: argparse.Namespace,
        definition: FlowDefinition,
        said: Callable[[Unfinished], str],
    ) -> int:
        """Act on each chosen pod or job and print a line with the result."""
        settings = chosen_settings(arguments)
        definition.attach(given_decorators(arguments))
        run_ids = _run_ids(arguments, definition.name, open_catalogue(settings))
        # Imported now, not with the command line: the finders load the kubernetes client, or boto3.
        find: Callable[..., Iterable[Unfinished]] = self._place.load("unfinished")
        found = False
        for each in find(settings, definition.name, definition.decorators):
            if each.run_id in run_ids:
                found = True
                print(f"{each.task}  {each.name}  {said(each)}")
        if not found:
            sys.stderr.write(f"No unfinished {self._place.things}.\n")
        return 0


def _add_runs(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--run-id", metavar="ID", help="those of another run")
    which.add_argument("--my-runs", action="store_true", help="those of all your runs")
    which.add_argument("--user", metavar="NAME", help="those of all runs of a user")


def _run_ids(arguments: argparse.Namespace, flow: str, catalogue: RunCatalogue) -> Collection[str]:
    if arguments.run_id is not None:
        return [run_of(catalogue, flow, arguments.run_id, "--run-id").run_id]
    known = catalogue.run_ids(flow)
    if not known:
        raise ObjectNotFound(f"There is no run of {flow} in {catalogue.describe()}.")
    if not arguments.my_runs and arguments.user is None:
        return known[:1]
    tag = f"user:{arguments.user or username()}"
    return {run.run_id for run in catalogue.runs(flow, known) if run and tag in run.system_tags}
