"""``airflow-conda-flow cache``: what this machine's cache holds; removal of what is not used any more."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from airflow_conda_flow.cli.datastore import age_argument
from airflow_conda_flow.cli.parser import READERS, add_common_options, say_unknown_variables
from airflow_conda_flow.cli.prune_report import PruneReport
from airflow_conda_flow.datastore.datastore import Datastore, open_datastore
from airflow_conda_flow.datastore.keeping import LEAST_GRACE
from airflow_conda_flow.datastore.pruning.amounts import age_text, size_text
from airflow_conda_flow.datastore.pruning.summary import locked_digests
from airflow_conda_flow.environments.cache_contents import PREFIXES, cache_items, kind_usage
from airflow_conda_flow.environments.cache_prune import UNUSED_FOR, prune_cache
from airflow_conda_flow.environments.cache_summary import cache_summary, users_text
from airflow_conda_flow.environments.disk_usage import DiskUsage
from airflow_conda_flow.settings.loading import load_settings

_OPTIONS = (*READERS, "--cache-dir")


def add_commands(commands: Any) -> None:
    """Add ``cache`` and its subcommands to the tool."""
    cache = commands.add_parser("cache", help="what this machine's cache holds; remove what is not used")
    actions = cache.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = actions.add_parser("list", help="sizes, last uses, and who uses it now")
    add_common_options(listing, inherited=False, used=_OPTIONS)
    listing.set_defaults(execute=_list, command_parser=listing)
    removing = actions.add_parser(
        "prune",
        help="remove what was not used for long",
        description="Remove what was not used for long. Without --yes nothing is removed: the command says "
        "what would go.",
    )
    add_common_options(removing, inherited=False, used=_OPTIONS)
    removing.add_argument(
        "--older-than",
        type=age_argument,
        default=UNUSED_FOR,
        metavar="AGE",
        help=f"what was last used longer ago; {age_text(UNUSED_FOR).replace(' ', '')} if not given, "
        f"{LEAST_GRACE / 3600:.0f}h at least",
    )
    removing.add_argument(
        "--keep-lock",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="not the packages of this lock file beside a flow",
    )
    removing.add_argument(
        "--yes", "-y", action="store_true", help="remove it; without, only say what would go"
    )
    removing.set_defaults(execute=_prune, command_parser=removing)


def _opened(arguments: argparse.Namespace) -> Datastore:
    say_unknown_variables()
    names = ("datastore", "datastore_root", "cache_dir")
    settings = load_settings({name: getattr(arguments, name) for name in names})
    return open_datastore(settings.datastore, settings.datastore_root, settings.cache_dir)


def _list(arguments: argparse.Namespace) -> int:
    cache_dir = _opened(arguments).cache_dir
    kinds = kind_usage(cache_dir)
    print(f"{cache_dir}: {size_text(sum(each.size for each in kinds.values()))} on the disk")
    for kind, found in kinds.items():
        print(f"  {kind:<20} {found.count:>8,}  {size_text(found.size):>9}")
    prefixes = [each for each in cache_items(cache_dir) if each.kind == PREFIXES]
    if prefixes:
        print("\nenvironment                            size  last used  used by")
    for each in prefixes:
        size = size_text(DiskUsage().add(*each.paths))
        print(f"{each.path.name:<32} {size:>10} {age_text(each.unused):>10}  {users_text(each)}".rstrip())
    return 0


def _prune(arguments: argparse.Namespace) -> int:
    datastore = _opened(arguments)
    report = PruneReport()
    try:
        pruned = prune_cache(
            datastore.cache_dir,
            datastore.storage,
            removes=arguments.yes,
            unused_for=arguments.older_than,
            kept_digests=locked_digests(arguments.keep_lock),
            report=report,
        )
    finally:
        report.close()
    for line in cache_summary(pruned, removed=arguments.yes):
        print(line)
    for fault in pruned.faults:
        sys.stderr.write(f"{fault}\n")
    return 1 if pruned.faults else 0
