"""``logs``: print the output of a task or of all tasks of a step; ``logs scrub`` overwrites it."""

from __future__ import annotations

import argparse
import re
import sys
from datetime import datetime, timezone

from airflow_conda_flow.cli.logs_scrub import scrub
from airflow_conda_flow.cli.parser import READERS, FlowArgumentParser, chosen_settings
from airflow_conda_flow.cli.past_runs import open_catalogue, tasks_of
from airflow_conda_flow.datastore.logs import STREAMS
from airflow_conda_flow.flow.definition import FlowDefinition

COMMON: tuple[str, ...] = READERS
_STAMPED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})Z (.*)", re.DOTALL)


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add the tasks, and the choice of streams and attempts."""
    del definition
    # Not a subcommand: "show" may be left out, and a required subcommand would take the pathspec's place.
    parser.add_argument(
        "words",
        nargs="+",
        metavar="RUN_ID/STEP[/TASK_ID]",
        help="with 'show' before it, or 'scrub', which overwrites the stored logs",
    )
    parser.add_argument("--stdout", action=argparse.BooleanOptionalAction, default=False, help="only stdout")
    parser.add_argument("--stderr", action=argparse.BooleanOptionalAction, default=False, help="only stderr")
    parser.add_argument(
        "--both", action=argparse.BooleanOptionalAction, default=None, help="both (the default)"
    )
    parser.add_argument(
        "--timestamps", action=argparse.BooleanOptionalAction, default=False, help="the time before each line"
    )
    parser.add_argument(
        "--attempt", type=int, metavar="N", help="an attempt, from 0 (default: the one that counts)"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="scrub all attempts")
    which.add_argument("--latest", action="store_true", help="scrub the one that counts (the default)")
    parser.add_argument(
        "--include-not-done",
        action="store_true",
        help="tasks that failed are scrubbed too (the default)",
    )


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Print the logs or overwrite them; headings and counts go to stderr."""
    verb = arguments.words[0] if arguments.words[0] in {"show", "scrub"} else None
    words = arguments.words[1:] if verb else arguments.words
    parser: FlowArgumentParser = arguments.command_parser
    if len(words) != 1:
        parser.error("write one RUN_ID/STEP or RUN_ID/STEP/TASK_ID")
    if verb == "scrub":
        return scrub(arguments, definition.name, words[0], _streams(arguments))
    if arguments.all or arguments.latest or arguments.include_not_done:
        parser.error("--all, --latest and --include-not-done are of 'logs scrub'")
    return _show(arguments, definition.name, words[0])


def _show(arguments: argparse.Namespace, flow: str, pathspec: str) -> int:
    catalogue = open_catalogue(chosen_settings(arguments))
    for task in tasks_of(catalogue, flow, pathspec, arguments.attempt):
        # Flushed on every change of stream, so that headings and lines keep their order on a terminal.
        sys.stdout.flush()
        sys.stderr.write(f"Dumping logs of run_id={task.run_id} step={task.step} task_id={task.task_id}\n")
        for stream in _streams(arguments):
            sys.stdout.flush()
            sys.stderr.write(f"{stream}\n")
            sys.stderr.flush()
            text = catalogue.log(*task.ran_as.parts, stream)
            _print(text, timestamps=arguments.timestamps)
    return 0


def _streams(arguments: argparse.Namespace) -> list[str]:
    wanted = [stream for stream in STREAMS if getattr(arguments, stream)]
    return list(STREAMS) if arguments.both or not wanted else wanted


def _print(text: str, *, timestamps: bool) -> None:
    for line in text.splitlines():
        found = _STAMPED.match(line)
        if found is None:
            print(line)
        elif timestamps:
            # Stored in UTC, shown in the reader's time zone.
            moment = datetime.fromisoformat(found[1]).replace(tzinfo=timezone.utc).astimezone()
            print(f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d} {found[2]}")
        else:
            print(found[2])
