"""``airflow-conda-flow datastore``: how much the datastore holds, and the removal of what is old."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from airflow_conda_flow.cli.parser import READERS, add_common_options, say_unknown_variables
from airflow_conda_flow.cli.prune_report import PruneReport
from airflow_conda_flow.datastore.datastore import Datastore, open_datastore
from airflow_conda_flow.datastore.keeping import LEAST_GRACE
from airflow_conda_flow.datastore.pruning.amounts import age, age_text, size_text
from airflow_conda_flow.datastore.pruning.choice import RunChoice
from airflow_conda_flow.datastore.pruning.prune import GRACE, prune
from airflow_conda_flow.datastore.pruning.stored_run import STATES
from airflow_conda_flow.datastore.pruning.summary import locked_digests, prune_summary
from airflow_conda_flow.datastore.pruning.usage import usage
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.records.names import whole_number
from airflow_conda_flow.settings.loading import load_settings


def add_commands(commands: Any) -> None:
    """Add ``datastore`` and its subcommands to the tool."""
    datastore = commands.add_parser("datastore", help="how much the datastore holds; remove what is old")
    actions = datastore.add_subparsers(title="commands", metavar="COMMAND", required=True)
    shown = actions.add_parser("usage", help="count runs and bytes, by kind and by flow")
    add_common_options(shown, inherited=False, used=READERS)
    shown.set_defaults(execute=_usage, command_parser=shown)
    removing = actions.add_parser(
        "prune",
        help="remove old runs, and what no run refers to any more",
        description="Remove old runs, then what no run refers to any more. Without --yes nothing is removed: "
        "the command says what would go. Without a condition no run goes.",
    )
    add_common_options(removing, inherited=False, used=READERS)
    add_prune_arguments(removing)
    removing.set_defaults(execute=_prune, command_parser=removing)


def add_prune_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which runs go."""
    several: dict[str, Any] = {"action": "append", "default": []}
    parser.add_argument(
        "--older-than", type=age_argument, metavar="AGE", help="runs prepared longer ago, as 30d"
    )
    parser.add_argument(
        "--keep-last",
        type=_count,
        metavar="N",
        help="not the N newest runs of each flow, whatever their state",
    )
    parser.add_argument("--tag", **several, metavar="TAG", help="runs with this tag; again: with all of them")
    parser.add_argument("--keep-tag", **several, metavar="TAG", help="not runs with this tag")
    parser.add_argument(
        "--state", **several, choices=STATES[:2], metavar="STATE", help="runs in this state: done or failed"
    )
    parser.add_argument("--flow", **several, metavar="FLOW", help="runs of this flow only")
    parser.add_argument("--run", **several, type=_run, metavar="FLOW/RUN_ID", help="this run, whatever it is")
    parser.add_argument(
        "--keep-lock",
        **several,
        type=Path,
        metavar="FILE",
        help="not the packages of this lock file beside a flow",
    )
    parser.add_argument(
        "--grace",
        type=age_argument,
        default=GRACE,
        metavar="AGE",
        help=f"nothing written within this time; {GRACE / 3600:.0f}h if not given, "
        f"{LEAST_GRACE / 3600:.0f}h at least",
    )
    parser.add_argument("--yes", "-y", action="store_true", help="remove it; without, only say what would go")


def age_argument(text: str) -> float:
    """Seconds of an age, for argparse."""
    try:
        return age(text)
    except SettingError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _count(text: str) -> int:
    if (number := whole_number(text)) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of runs")
    return number


def _run(text: str) -> tuple[str, str]:
    flow, _, run_id = text.partition("/")
    if not flow or not run_id:
        raise argparse.ArgumentTypeError(f"{text!r} names no run: write FLOW/RUN_ID")
    return flow, run_id


def _opened(arguments: argparse.Namespace) -> Datastore:
    say_unknown_variables()
    settings = load_settings({"datastore": arguments.datastore, "datastore_root": arguments.datastore_root})
    return open_datastore(settings.datastore, settings.datastore_root, settings.cache_dir)


def _usage(arguments: argparse.Namespace) -> int:
    datastore = _opened(arguments)
    report = PruneReport()
    try:
        found = usage(datastore.storage, report)
    finally:
        report.close()
    print(f"{datastore.describe()}")
    for kind, size in found.size.items():
        print(f"  {kind:<30} {found.count[kind]:>12,}  {size_text(size):>9}")
    print(f"  {'altogether':<30} {sum(found.count.values()):>12,}  {size_text(sum(found.size.values())):>9}")
    if found.flows:
        width = max(map(len, (*found.flows, "flow")))
        print(f"\n{'flow':<{width}}  runs  done  failed  running  newest  oldest  manifests, logs, cards")
    for flow, each in sorted(found.flows.items()):
        done, failed, running = (each.states.get(state, 0) for state in STATES)
        print(
            f"{flow:<{width}} {each.runs:>5} {done:>5} {failed:>7} {running:>8} "
            f"{age_text(each.newest):>7} {age_text(each.oldest):>7}  {size_text(each.size)}"
        )
    return _say_faults(found.faults, "They count as runs, but their states are not known.")


def _prune(arguments: argparse.Namespace) -> int:
    datastore = _opened(arguments)
    choice = RunChoice(
        arguments.older_than,
        arguments.keep_last,
        arguments.tag,
        arguments.keep_tag,
        arguments.state,
        arguments.flow,
        arguments.run,
    )
    report = PruneReport()
    try:
        pruned = prune(
            datastore.storage,
            choice,
            removes=arguments.yes,
            grace=arguments.grace,
            kept_digests=locked_digests(arguments.keep_lock),
            report=report,
        )
    finally:
        report.close()
    for line in prune_summary(pruned, removed=arguments.yes):
        print(line)
    return _say_faults(
        pruned.faults,
        "While they are there, nothing that they may refer to is removed. Mend or delete them; "
        "--run FLOW/RUN_ID removes a run whose manifest is damaged.",
    )


def _say_faults(faults: list[str], meaning: str) -> int:
    if not faults:
        return 0
    for each in faults:
        sys.stderr.write(f"{each}\n")
    counted = "1 document cannot" if len(faults) == 1 else f"{len(faults)} documents cannot"
    sys.stderr.write(f"{counted} be read. {meaning}\n")
    return 1
