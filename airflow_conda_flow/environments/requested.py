"""Request of a step for its environment, and the spec that it becomes with the settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_conda_flow.environments.channels import channels_of, public_channel, public_library
from airflow_conda_flow.environments.environment_file import EnvironmentFile, read_environment_file
from airflow_conda_flow.environments.lock import Lock
from airflow_conda_flow.environments.spec import EnvironmentSpec, PinnedUrl, python_range
from airflow_conda_flow.environments.virtual_packages import declared_virtual_packages
from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.settings.loading import Settings


@dataclass(frozen=True)
class EnvironmentRequest:
    """Request of decorators and environment files for one environment; nothing of it comes from settings.

    Attributes:
        python: version of Python, or a range; empty if the flow names none.
        libraries: versions, or ranges, by name.
        pypi: versions, or ranges, of PyPI packages by name.
        channels: of an ``environment.yml``; empty if those of the settings apply.
        pinned: a complete list of packages; else empty.
        place: file and line of the step, for messages.
        given_channels: those of an ``environment.yml`` as it has them: with credentials.
    """

    python: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict)
    pypi: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    pinned: tuple[PinnedUrl, ...] = ()
    place: tuple[str, int] | None = field(default=None, compare=False)
    given_channels: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The request as plain data without what is empty; equal requests are equal data."""
        content: dict[str, Any] = {
            "python": self.python,
            "libraries": dict(sorted(self.libraries.items())),
            "pypi": dict(sorted(self.pypi.items())),
            "channels": list(self.channels),
        }
        if self.pinned:
            urls = sorted([each.url, each.sha256, each.md5] for each in self.pinned)
            content["list"] = hashlib.sha256(json.dumps(urls).encode()).hexdigest()
        return {key: value for key, value in content.items() if value}

    def spec(
        self,
        settings: Settings,
        platform: str,
        default_python: str,
        locked: Lock | None = None,
        locked_for: Mapping[str, str] | None = None,
    ) -> EnvironmentSpec:
        """The spec for a platform.

        Args:
            settings: channels and virtual packages.
            platform: conda platform.
            default_python: version of Python if the flow names none.
            locked: the packages that the flow's lock file has for it.
            locked_for: the virtual packages that these were locked for; the settings do not count then.
        """
        channels = () if self.pinned else self.channels or settings.channels
        return EnvironmentSpec(
            python=locked.python if locked else python_range(self.python or default_python),
            libraries=dict(sorted(self.libraries.items())),
            channels=tuple(each for name in channels for each in channels_of(name)),
            platform=platform,
            pypi=dict(sorted(self.pypi.items())),
            virtual_packages=locked_for or declared_virtual_packages(platform, settings),
            pinned=self.pinned,
            locked=locked,
            place=self.place,
            given_channels=self.given_channels,
        )


def environment_request(
    step: str,
    wanted: Mapping[str, Any],
    platform: str,
    place: tuple[str, int],
    lock_command: str | None = None,
) -> EnvironmentRequest:
    """Request of one step. Decorators take precedence over the environment file.

    Args:
        step: the step's name.
        wanted: the merged decorators, from ``flow.decorators.conda.merge``.
        platform: conda platform that the step runs on.
        place: file and line of the step, for messages.
        lock_command: the same as for ``read_environment_file``.

    Raises:
        FlowDefinitionError: the environment file is wrong, or it is a complete list and the decorators add
            packages or ask for another Python.
    """
    file = None if wanted["file"] is None else read_environment_file(wanted["file"], platform, lock_command)
    if file is not None and file.pinned:
        return _complete(step, wanted, file, place)
    libraries = {public_library(name): version for name, version in wanted["libraries"].items()}
    pypi = dict(wanted["pypi"])
    given: tuple[str, ...] = ()
    python = wanted["python"] if wanted["python_stated"] else ""
    if file is not None:
        stated = {name.rpartition("::")[2].lower() for name in libraries}
        ours = {n: v for n, v in file.libraries.items() if n.rpartition("::")[2] not in stated}
        libraries.update({public_library(name): version for name, version in ours.items()})
        pypi = {**file.pypi, **pypi}
        given = file.channels
        python = python or file.python
    channels = tuple(map(public_channel, given))
    return EnvironmentRequest(python, libraries, pypi, channels, place=place, given_channels=given)


def _complete(
    step: str, wanted: Mapping[str, Any], file: EnvironmentFile, place: tuple[str, int]
) -> EnvironmentRequest:
    added = [*wanted["libraries"], *wanted["pypi"]]
    if added:
        raise FlowDefinitionError(
            f"Step {step!r} adds {', '.join(added)} to {wanted['file']}, "
            "which is a complete list of packages. "
            "Add them to that list, or name an environment.yml instead.",
            *place,
        )
    if wanted["python_stated"] and wanted["python"] != file.python:
        raise FlowDefinitionError(
            f"Step {step!r} asks for Python {wanted['python']}, and {wanted['file']} has "
            f"{file.python}. Leave python= out.",
            *place,
        )
    return EnvironmentRequest(file.python, pinned=file.pinned, place=place)
