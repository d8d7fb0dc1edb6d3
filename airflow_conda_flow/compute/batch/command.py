"""Command of a job's container: starts the runner, and first fetches it from S3 if the image lacks it.

The command is part of the job definition, because its program is longer than the overrides of a job may be.
The request comes in an environment variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from airflow_conda_flow.compute.batch.attributes import batch_attributes
from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.runner.archive import published_runner
from airflow_conda_flow.runner.container_command import RUNNER, fetching_command
from airflow_conda_flow.settings.loading import Settings
from airflow_conda_flow.settings.variables import REQUEST, RUNNER_ARCHIVE

# Matches the last part of an image's name, in any registry, with any tag or digest.
_RUNNER_IMAGE = re.compile(r"(^|/)airflow-conda-flow-runner(:|@|$)")
_WORDS = f'set -- run "${REQUEST}"\n'


@dataclass(frozen=True)
class ContainerStart:
    """Command of a container, with the environment variables that it reads.

    Attributes:
        command: the container's command, as a list of words.
        environ: the environment variables.
    """

    command: list[str]
    environ: dict[str, str]


def archived_runner(
    decorators: Mapping[str, Mapping[str, Any]], settings: Settings, storage: Storage
) -> str | None:
    """SHA-256 of the runner's archive, for a run's record; stores the archive if a step's image may lack it.

    Args:
        decorators: decorators of the steps with ``@batch``, by step name.
        settings: the settings in force.
        storage: the datastore's storage.

    Returns:
        None if no step needs it, or if this machine cannot make one.

    Raises:
        SettingError: a setting is not a valid value of its attribute.
        DatastoreError: the datastore cannot be read or written.
    """
    images = [batch_attributes(each, settings)["image"] for each in decorators.values()]
    if not any(_may_lack(image, settings.remote_platform) for image in images):
        return None
    try:
        key = published_runner(storage, settings.cache_dir)
    except SettingError:
        return None  # this machine cannot pack a runner for containers, so the image must contain one
    return PurePosixPath(key).name.partition(".")[0]


def container_start(
    image: str | None,
    storage: Storage,
    platform: str,
    runner: str | None = None,
    cache_dir: Path | None = None,
) -> ContainerStart:
    """Command for the containers of an image; stores the runner in the datastore if the image may lack it.

    Args:
        image: the image's name; one called ``airflow-conda-flow-runner`` already contains the runner.
        storage: the datastore's storage.
        platform: conda platform of the container.
        runner: SHA-256 of the runner's archive that the run was prepared with; None for that of this process.
        cache_dir: as for ``published_runner``.

    Raises:
        DatastoreError: the datastore cannot be read or written.
    """
    plain = ContainerStart(["/bin/sh", "-c", f'{_WORDS}exec {RUNNER} "$@"'], {})
    if not _may_lack(image, platform):
        return plain
    try:
        key = layout.runner_archive(platform, runner) if runner else published_runner(storage, cache_dir)
    except SettingError:
        return plain  # this machine cannot pack a runner for containers, so the image must contain one
    shell, option, script, program = fetching_command()
    return ContainerStart([shell, option, _WORDS + script, program], {RUNNER_ARCHIVE: f"{storage.url}/{key}"})


def _may_lack(image: str | None, platform: str) -> bool:
    """True if the image may lack the runner, and this platform's runner would run in it."""
    # The archive holds this process's own interpreter, so it runs on no other platform.
    return image is not None and not _RUNNER_IMAGE.search(image) and platform == current_platform()
