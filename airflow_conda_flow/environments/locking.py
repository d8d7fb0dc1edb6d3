"""Makes the lock file of a flow: keeps what it has, and solves what is missing or is to be upgraded."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from airflow_conda_flow.environments.channels import channel_url, split_library
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.lock import Lock, LockedPackage
from airflow_conda_flow.environments.lock_file import LockedEnvironment, LockFile, make_lock_file
from airflow_conda_flow.environments.requested import EnvironmentRequest
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.environments.step_specs import step_requests
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.settings.loading import Settings


@dataclass(frozen=True)
class Upgrade:
    """Packages whose versions are chosen anew.

    Attributes:
        names: of packages.
        everything: all packages of all environments.
    """

    names: AbstractSet[str] = frozenset()
    everything: bool = False

    def touches(self, lock: Lock) -> bool:
        """Whether an environment has to be solved again."""
        return self.everything or any(each.name in self.names for each in lock.packages)

    def kept(self, lock: Lock | None) -> list[LockedPackage]:
        """Packages that a new solve keeps where it can."""
        if self.everything or lock is None:
            return []
        return [each for each in lock.packages if each.name not in self.names]


@dataclass
class _Wanted:
    """One environment of the new file: who asks for it, and where they run."""

    request: EnvironmentRequest
    steps: list[str] = field(default_factory=list)
    platforms: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class LockedStep:
    """One environment of the new file on one platform.

    Attributes:
        steps: the steps that have it.
        lock: its packages.
        before: the packages that the old file had for it; None if it had none.
    """

    steps: Sequence[str]
    lock: Lock
    before: Lock | None


def make_lock(
    definition: FlowDefinition,
    settings: Settings,
    environments: Environments,
    platforms: Mapping[str, Sequence[str]],
    old: LockFile | None,
    upgrade: Upgrade,
) -> tuple[LockFile, list[LockedStep]]:
    """New lock file of a flow, which is not written yet, and its environments, in the flow's order.

    What the file has for other flows of the same flow file stays.

    Args:
        definition: the flow.
        settings: channels and virtual packages for what is solved.
        environments: solves; nothing that a datastore or cache has is used.
        platforms: by step: the conda platforms to lock it for.
        old: the lock file as it is; None without one.
        upgrade: what is solved again although the old file has it.

    Raises:
        EnvironmentFailure: an environment cannot be solved.
        FlowDefinitionError: an environment file is wrong, or contradicts the decorators.
    """
    wanted = _wanted(definition, platforms)
    kept: dict[tuple[int, str], Lock] = {}
    before: dict[tuple[int, str], Lock] = {}
    specs: dict[str, EnvironmentSpec] = {}
    preferred: dict[str, list[LockedPackage]] = {}
    keys: dict[str, tuple[int, str]] = {}
    is_alone = len({name for each in wanted for name in each.platforms}) == 1
    for number, each in enumerate(wanted):
        same, near = _earlier(old, each, definition)
        for name in each.platforms:
            earlier = near.locks.get(name) if near else None
            if earlier:
                before[number, name] = earlier
            if same and name in same.locks and not upgrade.touches(same.locks[name]):
                kept[number, name] = same.locks[name]
                continue
            label = _label(each.steps, "" if is_alone else name)
            keys[label] = (number, name)
            python = platform.python_version()
            if near and near.locks and not upgrade.everything:  # all platforms have the same Python
                python = next(iter(near.locks.values())).python
            specs[label] = each.request.spec(settings, name, python)
            preferred[label] = upgrade.kept(earlier)
    solved = environments.solve(specs, preferred) if specs else {}
    by_key = {**kept, **{keys[label]: lock for label, lock in solved.items()}}
    by_spec = {keys[label]: spec for label, spec in specs.items()}
    names = _names([each.steps[0] for each in wanted])
    made = [
        _environment(names[number], number, each, by_key, by_spec, old) for number, each in enumerate(wanted)
    ]
    file = make_lock_file(definition.file, _with_other_flows(definition, made, old))
    found = [
        LockedStep(each.steps, locked.locks[name], before.get((number, name)))
        for number, each in enumerate(wanted)
        if (locked := file.find(each.request))
        for name in each.platforms
    ]
    return file, found


def _with_other_flows(
    definition: FlowDefinition, made: Sequence[LockedEnvironment], old: LockFile | None
) -> list[LockedEnvironment]:
    """The flow's environments, and those that other flows of the file ask for, each with its flows."""
    flows = definition.flows_of_file if old is None else old.flows(definition)
    others = flows - {definition.name}
    if not others:
        return list(made)
    found = {repr(each.asked): replace(each, flows=(definition.name,)) for each in made}
    for each in [] if old is None else old.environments:
        theirs = others & each.owners(flows)
        if own := found.get(repr(each.asked)):
            both = tuple(sorted({*own.flows, *theirs}))
            found[repr(each.asked)] = replace(own, name=each.name if theirs else own.name, flows=both)
        elif theirs:
            found[repr(each.asked)] = replace(each, flows=tuple(sorted(theirs)))
    # Flow by flow, so that it makes no difference which of them is locked last.
    order = sorted(found.values(), key=lambda each: each.flows)
    names = _names([each.step for each in order])
    return [replace(each, name=name) for each, name in zip(order, names, strict=True)]


def _wanted(definition: FlowDefinition, platforms: Mapping[str, Sequence[str]]) -> list[_Wanted]:
    """Distinct requests, in the order of the steps. A file may ask for other things on each platform."""
    found: dict[str, _Wanted] = {}
    for name in dict.fromkeys(each for step in platforms.values() for each in step):
        for step, request in step_requests(definition, lambda _step: name, is_locked=True).items():  # noqa: B023 - called at once
            if name in platforms[step]:
                each = found.setdefault(repr(request.to_dict()), _Wanted(request))
                each.steps.extend([step] if step not in each.steps else [])
                each.platforms.extend([name] if name not in each.platforms else [])
    order = [node.name for node in definition.graph.topological()]
    return sorted(found.values(), key=lambda each: order.index(each.steps[0]))


def _earlier(
    old: LockFile | None, wanted: _Wanted, definition: FlowDefinition
) -> tuple[LockedEnvironment | None, LockedEnvironment | None]:
    """Environment of the old file for the same request; and that one, or the one of the same name."""
    if old is None:
        return None, None
    same = old.find(wanted.request)
    return same, same or next((each for each in old.of_flow(definition) if each.step in wanted.steps), None)


def _environment(
    name: str,
    number: int,
    wanted: _Wanted,
    locks: Mapping[tuple[int, str], Lock],
    specs: Mapping[tuple[int, str], EnvironmentSpec],
    old: LockFile | None,
) -> LockedEnvironment:
    before = None if old is None else old.find(wanted.request)
    channels: dict[str, None] = {}
    solved_for: dict[str, Mapping[str, str]] = {}
    for platform_name in wanted.platforms:
        spec = specs.get((number, platform_name))
        if spec is not None:
            solved_for[platform_name] = spec.virtual_packages
            own = [split_library(each)[0] for each in spec.libraries]
            channels.update(dict.fromkeys(map(channel_url, [*spec.channels, *filter(None, own)])))
        elif before is not None:
            solved_for[platform_name] = before.virtual_packages[platform_name]
            channels.update(dict.fromkeys(before.channels))
    packages = {each: locks[number, each] for each in wanted.platforms}
    if not channels:  # a complete list names packages only
        channels = {
            each.channel: None for lock in packages.values() for each in lock.packages if each.channel
        }
    return LockedEnvironment(name, wanted.request.to_dict(), tuple(channels), solved_for, packages)


def _names(steps: Sequence[str]) -> list[str]:
    """Name of each environment: its first step, with a number if two have the same one."""
    names: list[str] = []
    for step in steps:
        name, number = step, 2
        while name in names:
            name, number = f"{step}-{number}", number + 1
        names.append(name)
    return names


def _label(steps: Sequence[str], platform_name: str) -> str:
    names = f"step{'s' if len(steps) > 1 else ''} {', '.join(steps)}"
    return f"{names} on {platform_name}" if platform_name else names
