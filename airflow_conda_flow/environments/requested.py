"""Builds the ``EnvironmentSpec`` of a step from its decorators, its environment file and the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_conda_flow.environments.channels import public_channel
from airflow_conda_flow.environments.environment_file import EnvironmentFile, read_environment_file
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.environments.virtual_packages import declared_virtual_packages
from airflow_conda_flow.errors import FlowDefinitionError
from airflow_conda_flow.settings.loading import Settings


def requested_spec(
    step: str, wanted: Mapping[str, Any], settings: Settings, platform: str, place: tuple[str, int]
) -> EnvironmentSpec:
    """Spec of one step's environment. Decorators take precedence over the environment file.

    Args:
        step: the step's name.
        wanted: the merged decorators, from ``flow.conda_decorators.merge``.
        settings: channels and virtual packages.
        platform: conda platform that the step runs on.
        place: file and line of the step, for messages.

    Raises:
        FlowDefinitionError: the environment file is wrong, or it is a complete list and the decorators add
            packages or ask for another Python.
    """
    file = None if wanted["file"] is None else read_environment_file(wanted["file"], platform)
    if file is not None and file.pinned:
        return _complete(step, wanted, file, settings, platform, place)
    libraries, pypi, channels = dict(wanted["libraries"]), dict(wanted["pypi"]), settings.channels
    python = wanted["python"]
    if file is not None:
        stated = {name.rpartition("::")[2].lower() for name in libraries}
        libraries.update({n: v for n, v in file.libraries.items() if n.rpartition("::")[2] not in stated})
        pypi = {**file.pypi, **pypi}
        channels = file.channels or channels
        if file.python and not wanted["python_stated"]:
            python = file.python
    return EnvironmentSpec(
        python=python,
        libraries=dict(sorted(libraries.items())),
        channels=tuple(public_channel(each) for each in channels),
        platform=platform,
        pypi=dict(sorted(pypi.items())),
        virtual_packages=declared_virtual_packages(platform, settings),
    )


def _complete(
    step: str,
    wanted: Mapping[str, Any],
    file: EnvironmentFile,
    settings: Settings,
    platform: str,
    place: tuple[str, int],
) -> EnvironmentSpec:
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
    return EnvironmentSpec(
        python=file.python,
        libraries={},
        channels=(),
        platform=platform,
        virtual_packages=declared_virtual_packages(platform, settings),
        pinned=file.pinned,
    )
