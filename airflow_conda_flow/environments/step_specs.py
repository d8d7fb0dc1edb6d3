"""Specs of a flow's steps, with the packages of the lock file beside the flow, if it has one.

``Environments.resolve_all`` takes it from there: a spec that a lock file pins is never solved.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_conda_flow.environments.lock_file import LockedEnvironment, LockFile, read_lock_file
from airflow_conda_flow.environments.requested import EnvironmentRequest, environment_request
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.settings.loading import Settings


def environment_specs(
    definition: FlowDefinition, settings: Settings, platforms: Mapping[str, str]
) -> dict[str, EnvironmentSpec]:
    """Environment spec by step; a step without an environment of its own is absent.

    Args:
        definition: the flow.
        settings: channels, virtual packages and other settings in force. They count only without a lock file.
        platforms: the conda platform of every step.

    Raises:
        FlowDefinitionError: a step's environment cannot be described; there is no lock file, and a version is
            a range; or the lock file is damaged, or does not have what a step asks for.
        SettingError: a newer version of this package wrote the lock file.
    """
    definition.check_versions()
    definition.step_environments(
        platform.python_version()
    )  # for its checks, which a lock file does not replace
    file = read_lock_file(definition.file, definition.lock_command)
    requests = step_requests(definition, platforms.__getitem__, is_locked=file is not None)
    if file is not None and (found := next(disagreements(definition, requests, platforms, file), None)):
        raise FlowDefinitionError(
            f"{found.message} Write the lock file anew: {definition.lock_command}", *found.place
        )
    python = platform.python_version()
    specs = {}
    for step, request in requests.items():
        name = platforms[step]
        locked = None if file is None else file.find(request)
        specs[step] = (
            request.spec(settings, name, python)
            if locked is None
            else request.spec(settings, name, python, locked.locks[name], locked.virtual_packages[name])
        )
    return specs


def step_requests(
    definition: FlowDefinition, platform_of: Callable[[str], str], *, is_locked: bool
) -> dict[str, EnvironmentRequest]:
    """Requests of the steps for their environments, in the flow's order; steps without one are absent.

    Args:
        definition: the flow.
        platform_of: the conda platform of a step.
        is_locked: whether versions may be ranges.

    Raises:
        FlowDefinitionError: an environment file is wrong, or contradicts the decorators.
    """
    wanted = definition.step_environments(platform.python_version())
    command = None if is_locked else definition.lock_command
    return {
        node.name: environment_request(
            node.name, each, platform_of(node.name), place_of(definition, node.name), command
        )
        for node in definition.graph.topological()
        if (each := wanted[node.name]) is not None
    }


@dataclass(frozen=True)
class Disagreement:
    """A step whose environment is not in the lock file.

    Attributes:
        place: file and line of the step.
        message: what the step asks for, and what the lock file has.
    """

    place: tuple[str, int]
    message: str


def disagreements(
    definition: FlowDefinition,
    requests: Mapping[str, EnvironmentRequest],
    platforms: Mapping[str, str],
    file: LockFile,
) -> Iterator[Disagreement]:
    """Steps whose environments are not in the lock file, in the flow's order."""
    for step, request in requests.items():
        environment = file.find(request)
        if environment is None:
            there = next((each for each in file.of_flow(definition) if each.step == step), None)
            asked = _difference(request.to_dict(), there)
            yield Disagreement(
                place_of(definition, step), f"Step {step!r} asks for {asked}; see {file.path.name}."
            )
        elif platforms[step] not in environment.locks:
            yield Disagreement(
                place_of(definition, step),
                f"Step {step!r} runs on {platforms[step]}, and {file.path.name} has its environment for "
                f"{', '.join(environment.locks)} only.",
            )


def place_of(definition: FlowDefinition, step: str) -> tuple[str, int]:
    """File and line of a step."""
    node = definition.graph.steps[step]
    return node.file or str(Path(definition.file)), node.line


def _difference(asked: Mapping[str, Any], locked: LockedEnvironment | None) -> str:
    """The first thing that was asked for and not locked."""
    if locked is None:
        return "an environment that was not locked"
    for kind in ("python", "libraries", "pypi", "channels", "list"):
        new, old = asked.get(kind), locked.asked.get(kind)
        if new == old:
            continue
        if kind in {"libraries", "pypi"}:
            new, old = new or {}, old or {}
            name = next(each for each in sorted({*new, *old}) if new.get(each) != old.get(each))
            if name not in new:
                return f"no {name}, which was locked"
            if name not in old:
                return f"{_text(name, new[name])}, which was not locked"
            return f"{_text(name, new[name])}, and {_text(name, old[name])} was locked"
        if kind == "python":
            return f"{_python(new)}, and {_python(old)} was locked"
        return "other channels than were locked" if kind == "channels" else "another list than was locked"
    raise AssertionError("requests that are equal were found before")


def _text(name: str, version: str) -> str:
    return f"{name} {version or '(any version)'}"


def _python(version: str | None) -> str:
    return f"Python {version}" if version else "no version of Python"
