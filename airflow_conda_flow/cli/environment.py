"""``environment``: resolve, lock, show, list, export, rebuild, verify, compare the environments of steps."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_conda_flow.cli.actions import Action, add_actions
from airflow_conda_flow.cli.environment_lock import add_lock_arguments, lock_flow
from airflow_conda_flow.cli.package_table import counted, difference, headline, megabytes, package_table
from airflow_conda_flow.cli.parser import (
    LOCKERS,
    READERS,
    FlowArgumentParser,
    chosen_settings,
    given_decorators,
)
from airflow_conda_flow.cli.past_runs import run_of
from airflow_conda_flow.compute.placement import Placement
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.explicit_file import explicit_file
from airflow_conda_flow.environments.inventory import cached_environments
from airflow_conda_flow.environments.lock import Lock
from airflow_conda_flow.environments.progress import open_progress
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.environments.step_specs import environment_specs
from airflow_conda_flow.errors import EnvironmentFailure, SettingError
from airflow_conda_flow.flow.decorators.base import nearest
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.runner.stores import open_environments, open_settings_datastore
from airflow_conda_flow.settings.loading import Settings

COMMON: tuple[str, ...] = ()
_MAKERS = (*LOCKERS, "--quiet")  # of commands that show progress
_MOST_FAULTS = 20  # lines about one environment


def add_arguments(parser: argparse.ArgumentParser, definition: FlowDefinition) -> None:
    """Add the subcommands."""
    steps = list(definition.graph.steps)

    def one_step(parser: argparse.ArgumentParser) -> None:
        step = parser.add_argument("step", nargs="?", metavar="STEP", help="one step (default: all)")
        step.words = steps  # type: ignore[attr-defined]  # what completion offers

    def of_run(parser: argparse.ArgumentParser) -> None:
        one_step(parser)
        parser.add_argument("--run-id", metavar="ID", help="as that run had it, not as the flow is now")

    def export(parser: argparse.ArgumentParser) -> None:
        of_run(parser)
        parser.add_argument(
            "--format", choices=("explicit", "pixi"), default="explicit", help="the default is explicit"
        )
        parser.add_argument("--output", metavar="FILE", help="write there (default: to standard output)")

    def two_runs(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN_ID")
        parser.add_argument("other", metavar="RUN_ID")

    add_actions(
        parser,
        [
            Action("resolve", "Resolve and lock all environments; run nothing.", one_step, _resolve, _MAKERS),
            Action(
                "lock",
                "Write a lock file beside the flow, which pins all packages; or check it.",
                add_lock_arguments,
                _lock,
                _MAKERS,
            ),
            Action("show", "Show the packages of each step.", of_run, _show, LOCKERS),
            Action(
                "list",
                "List all resolved environments, of all flows.",
                lambda _parser: None,
                _list,
                (*READERS, "--cache-dir"),
            ),
            Action("export", "Write a lock as a conda spec file or as pixi.lock.", export, _export, LOCKERS),
            Action(
                "rebuild",
                "Install environments anew, from packages that are verified again. Locks never change.",
                one_step,
                _rebuild,
                _MAKERS,
            ),
            Action(
                "verify",
                "Compare installed environments with packages, byte by byte; exit code 1 if one differs.",
                of_run,
                _verify,
                _MAKERS,
            ),
            Action(
                "diff",
                "Show how the environments of two runs differ.",
                two_runs,
                _diff,
                (*READERS, "--cache-dir"),
            ),
        ],
    )


def execute(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    """Report a missing subcommand; argparse does so first, as a subcommand is required."""
    del definition
    parser: FlowArgumentParser = arguments.command_parser
    parser.error("write resolve, lock, show, list, export, rebuild, verify or diff")


@dataclass(frozen=True)
class _Stores:
    settings: Settings
    datastore: Datastore
    environments: Environments
    resolve_command: str

    @classmethod
    def of(cls, arguments: argparse.Namespace, definition: FlowDefinition) -> _Stores:
        settings = chosen_settings(arguments)
        datastore = open_settings_datastore(settings)
        environments = open_environments(
            settings, datastore, open_progress(sys.stderr, quiet=arguments.quiet)
        )
        return cls(settings, datastore, environments, definition.command("environment resolve"))

    def run(self, flow: str, word: str) -> RunRecord:
        return run_of(RunCatalogue(self.datastore), flow, word)

    def lock(self, step: str, spec: EnvironmentSpec) -> Lock:
        return self._known(step, spec.platform, self.environments.lock_of(spec))

    def lock_of_run(self, step: str, spec_id: str, platform: str) -> Lock:
        return self._known(step, platform, self.environments.known_lock(spec_id, platform))

    def _known(self, step: str, platform: str, lock: Lock | None) -> Lock:
        if lock is None:
            raise EnvironmentFailure(
                f"The environment of step {step} for {platform} is not resolved: it is neither in the cache "
                f"{self.settings.cache_dir} nor in the datastore. Resolve it first: {self.resolve_command}"
            )
        return lock


def _resolve(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    stores = _Stores.of(arguments, definition)
    specs = environment_specs(definition, stores.settings, _platforms(arguments, definition, stores))
    steps = _steps(arguments, definition)
    locks = stores.environments.resolve_all({step: specs[step] for step in steps if step in specs})
    for step in steps:
        print(headline([step], locks.get(step)))
    return 0


def _lock(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    stores = _Stores.of(arguments, definition)
    platforms = _platforms(arguments, definition, stores)
    return lock_flow(arguments, definition, stores.settings, stores.environments, platforms)


def _show(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    locks = _locks(arguments, definition, _Stores.of(arguments, definition))
    for steps, lock in _by_lock(locks):
        print(headline(steps, lock))
        if lock is not None:
            print(package_table(lock.packages))
        print()
    return 0


def _list(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    stores = _Stores.of(arguments, definition)
    storage = stores.datastore.storage if stores.settings.datastore == "s3" else None
    found = cached_environments(stores.environments, stores.settings.cache_dir, storage)
    for each in found:
        stated = ", ".join(f"{p.name} {p.version}" for p in each.lock.packages if p.stated)
        installed = "not installed" if each.prefix is None else f"installed {megabytes(each.installed_bytes)}"
        packages = counted(len(each.lock.packages), "package")
        print(
            f"{each.lock.spec_id[:12]}  {each.lock.platform:<13}  {packages:>13}  "
            f"{megabytes(each.archive_bytes):>10}  {installed:<20}  {stated}"
        )
    sys.stderr.write(f"{counted(len(found), 'environment')} in {stores.settings.cache_dir}")
    sys.stderr.write(f" and {storage.url}\n" if storage else "\n")
    return 0


def _export(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    locks = _by_lock(_locks(arguments, definition, _Stores.of(arguments, definition)))
    known = [(steps, lock) for steps, lock in locks if lock is not None]
    parser: FlowArgumentParser = arguments.command_parser
    if len(known) != 1:
        which = "; ".join(", ".join(steps) for steps, _ in known)
        parser.error(
            f"the steps have {len(known)} environments ({which}); name one step"
            if known
            else "no environment to export: the step runs in this interpreter"
        )
    ((_, lock),) = known
    if arguments.format == "explicit":
        _write(arguments.output, explicit_file(lock))
        return 0
    if not arguments.output:
        parser.error("--format pixi takes --output FILE, such as pixi.lock")
    from airflow_conda_flow.environments.rattler_lock_file import write_pixi_lock  # noqa: PLC0415 - heavy

    write_pixi_lock(lock, Path(arguments.output))
    return 0


def _rebuild(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    stores = _Stores.of(arguments, definition)
    for steps, lock in _by_lock(_locks(arguments, definition, stores)):
        if lock is not None:
            prefix = stores.environments.rebuild(lock)
            print(f"{headline(steps, lock)}\n    rebuilt in {prefix}")
    return 0


def _verify(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    stores = _Stores.of(arguments, definition)
    damaged = False
    for steps, lock in _by_lock(_locks(arguments, definition, stores)):
        if lock is None:
            continue
        print(headline(steps, lock))
        prefix = stores.environments.prefix_of(lock)
        if not os.path.lexists(prefix):
            print("    not installed")
            continue
        found = stores.environments.verify(lock)
        damaged = damaged or bool(found)
        for line in found[:_MOST_FAULTS] or [f"as its packages have it, in {prefix}"]:
            print(f"    {line}")
        if len(found) > _MOST_FAULTS:
            print(f"    and {len(found) - _MOST_FAULTS} more")
    if damaged:
        sys.stderr.write(f"Make it again: {definition.command('environment rebuild')}\n")
    return int(damaged)


def _diff(arguments: argparse.Namespace, definition: FlowDefinition) -> int:
    stores = _Stores.of(arguments, definition)
    before, after = (stores.run(definition.name, word) for word in (arguments.run, arguments.other))
    differs = False
    for step in dict.fromkeys([*_steps_of(before), *_steps_of(after)]):
        old, new = (_lock_of_run(stores, run, step) for run in (before, after))
        if old == new:
            continue
        differs = True
        print(f"Step {step}")
        for line in difference(old, new):
            print(f"    {line}")
    if not differs:
        print(f"The environments of {before.run_id} and {after.run_id} are the same.")
    return 0


def _platforms(
    arguments: argparse.Namespace, definition: FlowDefinition, stores: _Stores
) -> Mapping[str, str]:
    # Decorators of ``--with`` may move steps to another platform.
    definition.attach(given_decorators(arguments))
    return Placement.of(definition.decorators).platforms(stores.settings)


def _steps(arguments: argparse.Namespace, definition: FlowDefinition) -> list[str]:
    known = [node.name for node in definition.graph.topological()]
    if arguments.step is None:
        return known
    if arguments.step not in known:
        parser: FlowArgumentParser = arguments.command_parser
        parser.error(
            f"{definition.name} has no step {arguments.step!r}.{nearest(arguments.step, known)} "
            f"It has: {', '.join(known)}."
        )
    return [arguments.step]


def _locks(
    arguments: argparse.Namespace, definition: FlowDefinition, stores: _Stores
) -> dict[str, Lock | None]:
    """Lock of every selected step, from a past run or the current flow; None if it has no environment."""
    if getattr(arguments, "run_id", None):
        run = stores.run(definition.name, arguments.run_id)
        steps = [arguments.step] if arguments.step else _steps_of(run)
        return {step: _lock_of_run(stores, run, step) for step in steps}
    specs = environment_specs(definition, stores.settings, _platforms(arguments, definition, stores))
    return {
        step: stores.lock(step, specs[step]) if step in specs else None
        for step in _steps(arguments, definition)
    }


def _steps_of(run: RunRecord) -> list[str]:
    return [node.name for node in run.graph.topological()]


def _lock_of_run(stores: _Stores, run: RunRecord, step: str) -> Lock | None:
    environment = run.environment_of(step)
    return (
        None if environment is None else stores.lock_of_run(step, environment["id"], environment["platform"])
    )


def _by_lock(locks: Mapping[str, Lock | None]) -> list[tuple[list[str], Lock | None]]:
    """Locks with the steps that share them, in the order of their first steps."""
    groups: dict[str, tuple[list[str], Lock | None]] = {}
    for step, lock in locks.items():
        # One spec has a lock for each platform.
        groups.setdefault("" if lock is None else lock.spec_id + lock.platform, ([], lock))[0].append(step)
    return list(groups.values())


def _write(path: str | None, text: str) -> None:
    if path is None:
        sys.stdout.write(text)
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingError(f"--output {path} cannot be written: {error.strerror}.") from error
