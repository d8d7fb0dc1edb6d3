"""``environment lock``: write the lock file beside the flow, or check that it has what the steps ask for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from platform import python_version

from airflow_conda_flow.cli.package_table import difference, headline
from airflow_conda_flow.cli.parser import FlowArgumentParser
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.file_mutex import alone_with
from airflow_conda_flow.environments.lock_file import (
    LockedEnvironment,
    LockFile,
    read_lock_file,
    write_lock_file,
)
from airflow_conda_flow.environments.locking import LockedStep, Upgrade, make_lock
from airflow_conda_flow.environments.platform import PLATFORMS
from airflow_conda_flow.environments.step_specs import disagreements, step_requests
from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.decorators.base import nearest
from airflow_conda_flow.flow.decorators.conda import library_key, pypi_key
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.records.lock_file import lock_file_of
from airflow_conda_flow.settings.loading import Settings

_WAITS = "Another command is writing the lock file of {}; waiting for it.\n"


def add_lock_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``environment lock``."""
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit with 1 if the file does not have exactly what the steps ask for",
    )
    parser.add_argument(
        "--upgrade",
        nargs="?",
        const="",
        action="append",
        metavar="PACKAGE",
        help="choose the versions of this package anew, without a name those of all; may be given again",
    )
    parser.add_argument(
        "--platform",
        choices=PLATFORMS,
        action="append",
        metavar="PLATFORM",
        help="lock for this platform, such as linux-64; may be given again "
        "(default: those of the file, and where the steps run)",
    )


def lock_flow(
    arguments: argparse.Namespace,
    definition: FlowDefinition,
    settings: Settings,
    environments: Environments,
    platforms: Mapping[str, str],
) -> int:
    """Write the lock file, or check it; returns the exit code.

    Args:
        arguments: the command line.
        definition: the flow.
        settings: channels and virtual packages.
        environments: solves.
        platforms: the conda platform of every step.

    Raises:
        EnvironmentFailure: an environment cannot be solved.
        SettingError: the file cannot be written, or a newer version of this package wrote it.
        FlowDefinitionError: an environment file is wrong, or is where the lock file belongs; with
            ``--check``, there is no lock file, or a damaged one.
    """
    parser: FlowArgumentParser = arguments.command_parser
    definition.step_environments(python_version())  # for its checks, before any lock file is read
    if arguments.check:
        if arguments.upgrade is not None:
            parser.error("--check writes nothing; leave --upgrade out")
        return _check(definition, platforms, arguments.platform or ())
    # Flows of one file share its lock file, which each reads and writes.
    with alone_with(Path(definition.file), lambda: sys.stderr.write(_WAITS.format(definition.file))):
        return _write(arguments, definition, settings, environments, platforms)


def _write(
    arguments: argparse.Namespace,
    definition: FlowDefinition,
    settings: Settings,
    environments: Environments,
    platforms: Mapping[str, str],
) -> int:
    parser: FlowArgumentParser = arguments.command_parser
    old = _old(definition)
    given = arguments.upgrade or []
    if old is not None and (unknown := _unknown(filter(None, given), old, definition)):
        parser.error(unknown)
    names = frozenset[str]().union(*map(_locked_names, filter(None, given)))
    upgrade = Upgrade(names, everything="" in given)
    asked = arguments.platform or (old.platforms if old else [])
    wanted = {
        step: arguments.platform or list(dict.fromkeys([own, *asked])) for step, own in platforms.items()
    }
    file, found = make_lock(definition, settings, environments, wanted, old, upgrade)
    for each in found:
        print(headline(each.steps, each.lock))
        for line in _changes(each):
            print(f"    {line}")
    if not found:
        print("No step has an environment of its own.")
    if old is not None and old.text == file.text:
        print(f"{file.path.name} is as it was.")
        return 0
    write_lock_file(file)
    print(f"{'Wrote' if old is None else 'Changed'} {file.path.name}. Commit it with {_name(definition)}.")
    return 0


def _check(definition: FlowDefinition, platforms: Mapping[str, str], asked: Sequence[str]) -> int:
    file = read_lock_file(definition.file, definition.lock_command)
    command = definition.lock_command
    if file is None:
        raise FlowDefinitionError(
            f"There is no lock file. Write it: {command}", lock_file_of(definition.file)
        )
    failed = list(dict.fromkeys(_failures(definition, platforms, [*asked, *file.platforms], file)))
    for message in failed:
        sys.stderr.write(f"{message}\n")
    if failed:
        sys.stderr.write(f"Write the lock file anew: {command}\n")
        return 1
    print(f"{file.path.name} has what the steps of {definition.name} ask for.")
    return 0


def _failures(
    definition: FlowDefinition, platforms: Mapping[str, str], others: Sequence[str], file: LockFile
) -> Iterator[str]:
    """Lines that say what differs: where the steps run, then on the other platforms."""
    used: set[str] = set()
    for place in [platforms, *(dict.fromkeys(platforms, each) for each in dict.fromkeys(others))]:
        requests = step_requests(definition, place.__getitem__, is_locked=True)
        for found in disagreements(definition, requests, place, file):
            yield "{}:{}: {}".format(*found.place, found.message)
        used.update(each.name for request in requests.values() if (each := file.find(request)))
    flows = file.flows(definition)
    for each in file.environments:
        if each.name not in used and each.owners(flows) <= {definition.name}:
            yield f"{file.path}: No step asks for the environment {each.name}."


def _old(definition: FlowDefinition) -> LockFile | None:
    """The lock file as it is; a damaged one counts as none."""
    try:
        return read_lock_file(definition.file, definition.lock_command)
    except FlowDefinitionError as error:
        sys.stderr.write(f"{error}\nNothing of it is kept; every environment is solved anew.\n")
        if others := sorted(definition.flows_of_file - {definition.name}):
            sys.stderr.write(
                f"The file has no environments of {' and '.join(others)} then: each flow needs its own "
                "`environment lock`.\n"
            )
        return None


def _locked_names(given: str) -> set[str]:
    """Names that a package may have in a lock file, for the name that a flow gives it."""
    return {library_key(given), pypi_key(given)}


def _unknown(given: Iterable[str], old: LockFile, definition: FlowDefinition) -> str:
    """Message about a package that is in no environment of the flow; empty if there is none."""
    known = _package_names(old.of_flow(definition))
    for name in given:
        names = _locked_names(name)
        if names & known:
            continue
        holders = sorted(
            {other for each in old.environments if names & _package_names([each]) for other in each.flows}
        )
        if holders:
            return (
                f"--upgrade {name}: no environment of {definition.name} has it in {old.path.name}, only of "
                f"{' and '.join(holders)}. Upgrade it with the `environment lock` of that flow."
            )
        return f"--upgrade {name}: {old.path.name} has no such package.{nearest(name, known)}"
    return ""


def _package_names(environments: Iterable[LockedEnvironment]) -> set[str]:
    locks = (lock for each in environments for lock in each.locks.values())
    return {package.name for lock in locks for package in lock.packages}


def _changes(step: LockedStep) -> Iterator[str]:
    if step.before is None or step.before.digest == step.lock.digest:
        return iter(())
    return difference(step.before, step.lock)


def _name(definition: FlowDefinition) -> str:
    return definition.file.rsplit("/", 1)[-1]
