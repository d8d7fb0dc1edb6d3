"""``card``: list, save and view the cards of tasks."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.cli.actions import Action, add_actions
from airflow_conda_flow.cli.parser import FlowArgumentParser, chosen_settings
from airflow_conda_flow.cli.past_runs import open_catalogue, run_of, tasks_of
from airflow_conda_flow.cli.run import write_for_callers
from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.errors import ObjectNotFound, SettingError
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.records.card_names import card_hash
from airflow_conda_flow.records.task_record import TaskRecord

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import CardRecord

COMMON: tuple[str, ...] = ()
_SHORT = 8
"""Hex digits of a hash that 'card list' prints; '--hash' takes any beginning."""


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add the subcommands."""
    del definition
    add_actions(
        parser,
        [
            Action("view", "Open a task's card in a browser.", _add_one, _view),
            Action("get", "Print a task's card, or save it.", _add_get, _get),
            Action("list", "List the cards of a task, a step or the latest run.", _add_list, _list),
            Action("server", "Show the cards of runs in a browser, as they come.", _add_server, _server),
        ],
    )


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Report a missing subcommand; argparse does so first, as a subcommand is required."""
    del definition
    parser: FlowArgumentParser = arguments.command_parser
    parser.error("write view, get, list or server")


def _add_pathspec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pathspec",
        metavar="STEP|RUN_ID/STEP[/TASK_ID]",
        help="a step of the latest run, or the tasks of another one",
    )


def _add_one(parser: argparse.ArgumentParser) -> None:
    _add_pathspec(parser)
    _add_which(parser)


def _add_which(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--id", metavar="ID", help="which card, where the step has several")
    parser.add_argument("--hash", metavar="HASH", help="the card whose hash begins like this; 'list' has it")
    parser.add_argument("--type", metavar="TYPE", help="only cards of this type")
    parser.add_argument(
        "--follow-resumed",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="a task that 'resume' took over has the cards of its origin",
    )


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pathspec",
        nargs="?",
        metavar="STEP|RUN_ID[/STEP[/TASK_ID]]",
        help="a step of the latest run, or a run or tasks of it (default: the latest run)",
    )
    _add_which(parser)
    parser.add_argument("--as-json", action="store_true", help="print JSON")
    parser.add_argument("--file", metavar="FILE", help="save the list, as JSON")


def _add_get(parser: argparse.ArgumentParser) -> None:
    _add_one(parser)
    parser.add_argument("path", nargs="?", metavar="FILE", help="where to save it (default: print it)")


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run-id", metavar="ID", help="a run (default: the latest ten)")
    # The defaults of port, interval and number of cards are Metaflow's.
    parser.add_argument("--port", type=int, default=8324, metavar="N", help="0 takes any (default 8324)")
    parser.add_argument("--namespace", metavar="TAG", help="only runs with this tag")
    parser.add_argument(
        "--poll-interval", type=float, default=5, metavar="SECONDS", help="how often to look (default 5)"
    )
    parser.add_argument(
        "--max-cards", type=int, default=30, metavar="N", help="how many cards are listed (default 30)"
    )


def _server(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    from airflow_conda_flow.cli.card_server import serve  # noqa: PLC0415 - no other command needs http.server

    return serve(arguments, definition)


def _list(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    tasks, is_one = _tasks_to_list(arguments, definition)
    found = [_described(task, arguments) for task in tasks]
    text = json.dumps(found[0] if is_one else found, indent=4)
    if arguments.file:
        write_for_callers("--file", arguments.file, text)
    if arguments.as_json:
        if not arguments.file:
            print(text)
        return 0
    if not any(_cards(task, arguments) for task in tasks):
        sys.stderr.write(f"{_no_cards(arguments, definition)} Cards come from @card on a step.\n")
    for task in tasks:
        for card in _cards(task, arguments):
            pathspec = f"{task.run_id}/{task.step}/{task.task_id}"
            hash_ = card_hash(task.ran_as, card["name"])[:_SHORT]
            print(f"{pathspec}  {card['name']}  {card['type']}  attempt {task.attempt}  hash {hash_}")
    return 0


def _no_cards(arguments: argparse.Namespace, definition: FlowDefinition) -> str:
    return (
        f"{arguments.pathspec or f'The latest run of {definition.name}'} has no card{_selected(arguments)}."
    )


def _selected(arguments: argparse.Namespace) -> str:
    """The options that select cards, in words, with a space in front."""
    words = ((" of type", arguments.type), (" with the id", arguments.id), (" with the hash", arguments.hash))
    return "".join(f"{word} {value!r}" for word, value in words if value is not None)


def _described(task: TaskRecord, arguments: argparse.Namespace) -> dict[str, Any]:
    """Task and its selected cards in the form of Metaflow's ``card list --as-json``."""
    cards = [
        {
            "id": card["id"],
            "hash": card_hash(task.ran_as, card["name"]),
            "type": card["type"],
            "filename": layout.card(task.ran_as, card["name"]).rpartition("/")[2],
        }
        for card in _cards(task, arguments)
    ]
    return {"pathspec": task.task.pathspec, "cards": cards}


def _cards(task: TaskRecord, arguments: argparse.Namespace) -> list[CardRecord]:
    """Cards of a task that ``--id``, ``--hash``, ``--type`` and ``--follow-resumed`` select."""
    if task.is_clone and not arguments.follow_resumed:
        return []
    return [
        card
        for card in task.cards
        if arguments.id in {None, card["id"], card["name"]}
        and arguments.type in {None, card["type"]}
        and card_hash(task.ran_as, card["name"]).startswith(arguments.hash or "")
    ]


def _tasks_to_list(
    arguments: argparse.Namespace, definition: FlowDefinition
) -> tuple[list[TaskRecord], bool]:
    """Tasks with a selected card, of a step or a run, and False; or the only task of a pathspec, and True."""
    catalogue = open_catalogue(chosen_settings(arguments))
    word: str | None = arguments.pathspec
    steps = definition.graph.steps
    # A word without a slash is a step if the flow has a step of that name, else a run.
    if word is not None and ("/" in word.removeprefix(f"{definition.name}/") or word in steps):
        tasks = _tasks(arguments, definition)
        if len(tasks) == 1:
            return tasks, True
    else:
        run = run_of(catalogue, definition.name, word or _latest(catalogue, definition))
        tasks = [
            task
            for step in catalogue.steps(definition.name, run.run_id)
            for task in tasks_of(catalogue, definition.name, f"{run.run_id}/{step}")
        ]
    return [task for task in tasks if _cards(task, arguments)], False


def _get(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    page = _page(arguments, definition)
    if arguments.path is None:
        sys.stdout.write(page)
    else:
        try:
            Path(arguments.path).write_text(page, encoding="utf-8")
        except OSError as error:
            raise SettingError(f"{arguments.path} cannot be written: {error.strerror}.") from error
        print(f"Saved the card as {arguments.path}.")
    return 0


def _view(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    # The file is left behind: the browser reads it after this command has ended.
    with tempfile.NamedTemporaryFile(
        "w", prefix="card-", suffix=".html", delete=False, encoding="utf-8"
    ) as file:
        file.write(_page(arguments, definition))
    url = Path(file.name).as_uri()
    print(f"The card is at {url}")
    webbrowser.open(url)
    return 0


def _page(arguments: argparse.Namespace, definition: FlowDefinition) -> str:
    """HTML of the one card that the arguments select.

    Raises:
        ObjectNotFound: no card matches, or several do.
    """
    found = [(task, card) for task in _tasks(arguments, definition) for card in _cards(task, arguments)]
    if len(found) != 1:
        raise ObjectNotFound(_which(arguments, found))
    ((task, card),) = found
    settings = chosen_settings(arguments)
    storage = open_datastore(settings.datastore, settings.datastore_root, settings.cache_dir).storage
    return storage.read_bytes(layout.card(task.ran_as, card["name"])).decode("utf-8")


def _which(arguments: argparse.Namespace, found: list[tuple[TaskRecord, Any]]) -> str:
    if not found:
        what = f"{arguments.pathspec} has no card{_selected(arguments)}."
        return f"{what} Cards come from @card on the step; see 'card list'."
    names = ", ".join(
        f"{task.step}/{task.task_id} --hash {card_hash(task.ran_as, card['name'])[:_SHORT]} ({card['name']})"
        for task, card in found[:8]
    )
    return f"{arguments.pathspec} has {len(found)} cards. Name one task and one card: {names}."


def _tasks(arguments: argparse.Namespace, definition: FlowDefinition) -> list[TaskRecord]:
    catalogue = open_catalogue(chosen_settings(arguments))
    return tasks_of(catalogue, definition.name, _full(arguments, definition, catalogue))


def _full(arguments: argparse.Namespace, definition: FlowDefinition, catalogue: RunCatalogue) -> str:
    """Pathspec with its run; a step without a run belongs to the latest run."""
    pathspec: str = arguments.pathspec
    if "/" in pathspec:
        return pathspec
    return f"{_latest(catalogue, definition)}/{pathspec}"


def _latest(catalogue: RunCatalogue, definition: FlowDefinition) -> str:
    """Id of the flow's latest run, whoever started it.

    Raises:
        ObjectNotFound: the flow has no runs.
    """
    runs = catalogue.run_ids(definition.name)
    if not runs:
        raise ObjectNotFound(f"There is no run of {definition.name} in {catalogue.describe()}.")
    return runs[0]
