"""``tag``: add, remove, replace and list the tags of runs."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Collection, Iterable

from airflow_conda_flow.cli.actions import Action, add_actions
from airflow_conda_flow.cli.parser import FlowArgumentParser, chosen_settings
from airflow_conda_flow.cli.past_runs import open_catalogue, run_of
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.errors import NamespaceMismatch
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.username import username
from airflow_conda_flow.records.run_record import TaggedRun

COMMON: tuple[str, ...] = ()
_HEAD = "System tags and tags; only tags can be modified"


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add the subcommands."""
    del definition
    add_actions(
        parser,
        [
            Action("add", "Add tags to a run.", _add_tags, _add),
            Action("list", "List tags of a run, or of all runs.", _add_list_options, _list),
            Action("remove", "Remove tags from a run.", _add_tags, _remove),
            Action(
                "replace",
                "Replace one or more tags of a run as one change. Removals are applied first.",
                _add_replacements,
                _replace,
            ),
        ],
    )


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Report a missing subcommand; argparse does so first, as a subcommand is required."""
    del definition
    parser: FlowArgumentParser = arguments.command_parser
    parser.error("write add, list, remove or replace")


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run-id", required=True, metavar="ID", help="the run to tag")
    parser.add_argument("--namespace", metavar="TAG", help="refuse a run without this tag")


def _add_tags(parser: argparse.ArgumentParser) -> None:
    _add_run(parser)
    parser.add_argument("tags", nargs="+", metavar="TAG")


def _add_replacements(parser: argparse.ArgumentParser) -> None:
    _add_run(parser)
    parser.add_argument("--add", action="append", default=[], metavar="TAG", help="may be given again")
    parser.add_argument("--remove", action="append", default=[], metavar="TAG", help="may be given again")


def _add_list_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN_ID", help="the run to list")
    parser.add_argument("--run-id", metavar="ID", help="the same")
    parser.add_argument("--all", action="store_true", help="the tags of all runs, whoever made them")
    parser.add_argument("--my-runs", action="store_true", help="the tags of your runs (the default)")
    parser.add_argument("--hide-system-tags", action="store_true", help="only tags that can be modified")
    parser.add_argument("--flat", action="store_true", help="one tag a line, and nothing else")
    parser.add_argument("--group-by-tag", action="store_true", help="the runs of each tag")
    parser.add_argument("--group-by-run", action="store_true", help="the tags of each run")


def _add(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    return _change(arguments, definition, add=arguments.tags)


def _remove(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    return _change(arguments, definition, remove=arguments.tags)


def _replace(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    parser: FlowArgumentParser = arguments.command_parser
    if not arguments.remove:
        parser.error("give at least one --remove TAG; to only add tags, write 'tag add'")
    if not arguments.add:
        parser.error("give at least one --add TAG; to only remove tags, write 'tag remove'")
    return _change(arguments, definition, arguments.add, arguments.remove)


def _change(
    arguments: argparse.Namespace,
    definition: FlowDefinition,
    add: Collection[str] = (),
    remove: Collection[str] = (),
) -> int:
    catalogue = open_catalogue(chosen_settings(arguments))
    run = run_of(catalogue, definition.name, arguments.run_id, "--run-id")
    if arguments.namespace and arguments.namespace not in _tags(run):
        raise NamespaceMismatch(
            f"Run {run.run_id} of {definition.name} is not in the namespace {arguments.namespace!r}."
        )
    tags = catalogue.change_tags(definition.name, run.run_id, list(add), list(remove))
    print("Operation successful. New tags:")
    _print_columns([*tags, *run.system_tags])
    return 0


def _list(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    parser: FlowArgumentParser = arguments.command_parser
    named = arguments.run_id or arguments.run
    if arguments.group_by_tag + arguments.group_by_run + arguments.flat > 1:
        parser.error("--group-by-tag, --group-by-run and --flat exclude one another")
    if named and (arguments.all or arguments.my_runs):
        parser.error("a run excludes --all and --my-runs")
    catalogue = open_catalogue(chosen_settings(arguments))
    if named:
        runs = [run_of(catalogue, definition.name, named, "--run-id")]
    else:
        runs = _runs(catalogue, definition.name, everybody=arguments.all)
    tags = {
        f"{definition.name}/{run.run_id}": run.user_tags if arguments.hide_system_tags else _tags(run)
        for run in runs
    }
    if arguments.group_by_run:
        _print_groups("For run", tags)
    elif arguments.group_by_tag:
        by_tag: dict[str, list[str]] = {}
        for pathspec, of_run in tags.items():
            for tag in of_run:
                by_tag.setdefault(tag, []).append(pathspec)
        _print_groups("For tag", dict(sorted(by_tag.items())))
    elif arguments.flat:
        print("\n".join(sorted({tag for of_run in tags.values() for tag in of_run})))
    else:
        _print_columns({tag for of_run in tags.values() for tag in of_run})
    return 0


def _runs(catalogue: RunCatalogue, flow: str, *, everybody: bool) -> list[TaggedRun]:
    runs = [run for run in catalogue.runs(flow, catalogue.run_ids(flow)) if run is not None]
    mine = f"user:{username()}"
    return [run for run in runs if everybody or mine in _tags(run)]


def _tags(run: TaggedRun) -> list[str]:
    return [*run.user_tags, *run.system_tags]


def _print_groups(title: str, groups: dict[str, list[str]]) -> None:
    print(f"\n{_HEAD}\n{'-' * len(_HEAD)}")
    for name, members in groups.items():
        print(f"\n{title} {name}")
        print(_columns(members))
    print()


def _print_columns(tags: Iterable[str]) -> None:
    print(f"\n{_HEAD}\n{'-' * len(_HEAD)}\n")
    print(_columns(tags))
    print()


def _columns(words: Iterable[str]) -> str:
    """Words sorted in columns, to be read from top to bottom."""
    ordered = sorted(set(words))
    if not ordered:
        return "(none)"
    # 100 characters if the output is not a terminal. A word wider than the line still gets a column.
    width = max(map(len, ordered)) + 4
    number = max(1, shutil.get_terminal_size((100, 24)).columns // width)
    height = -(-len(ordered) // number)
    rows = (ordered[row::height] for row in range(height))
    return "\n".join("".join(word.ljust(width) for word in row).rstrip() for row in rows)
