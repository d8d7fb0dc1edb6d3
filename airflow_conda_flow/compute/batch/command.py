"""Command of a job's container: starts the runner, and first fetches it from S3 if the image lacks it.

The command is part of the job definition, because its program is longer than the overrides of a job may be.
The request comes in an environment variable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_conda_flow.compute.batch.job import REQUEST_VARIABLE
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.runner.archive import published_runner
from airflow_conda_flow.runner.container_command import ARCHIVE_VARIABLE, RUNNER, fetching_command

# Matches the last part of an image's name, in any registry, with any tag or digest.
_RUNNER_IMAGE = re.compile(r"(^|/)airflow-conda-flow-runner(:|@|$)")
_WORDS = f'set -- run "${REQUEST_VARIABLE}"\n'


@dataclass(frozen=True)
class ContainerStart:
    """Command of a container, with the environment variables that it reads.

    Attributes:
        command: the container's command, as a list of words.
        environ: the environment variables.
    """

    command: list[str]
    environ: dict[str, str]


def container_start(image: str | None, storage: Storage, platform: str) -> ContainerStart:
    """Command for the containers of an image; stores the runner in the datastore if the image may lack it.

    Args:
        image: the image's name; one called ``airflow-conda-flow-runner`` already contains the runner.
        storage: the datastore's storage.
        platform: conda platform of the container.

    Raises:
        DatastoreError: the datastore cannot be read or written.
    """
    plain = ContainerStart(["/bin/sh", "-c", f'{_WORDS}exec {RUNNER} "$@"'], {})
    # The archive holds this process's own interpreter, so it runs on no other platform.
    if image is None or _RUNNER_IMAGE.search(image) or platform != current_platform():
        return plain
    try:
        key = published_runner(storage)
    except SettingError:
        return plain  # this machine cannot pack a runner for containers, so the image must contain one
    shell, option, script, program = fetching_command()
    return ContainerStart(
        [shell, option, _WORDS + script, program], {ARCHIVE_VARIABLE: f"{storage.url}/{key}"}
    )
