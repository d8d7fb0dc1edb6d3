"""What a job's container starts: the runner, which an image that does not hold it fetches from S3.

The command is a part of the definition, because its program is longer than Batch takes for overrides. The
request comes in an environment variable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_conda_flow.compute.batch_job import REQUEST_VARIABLE
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.runner.archive import published_runner
from airflow_conda_flow.runner.container_command import ARCHIVE_VARIABLE, RUNNER, fetching_command

_RUNNER_IMAGE = re.compile(r"(^|/)airflow-conda-flow-runner(:|@|$)")
_WORDS = f'set -- run "${REQUEST_VARIABLE}"\n'


@dataclass(frozen=True)
class ContainerStart:
    """How a container starts.

    Attributes:
        command: its command.
        environ: the environment variables that the command reads.
    """

    command: list[str]
    environ: dict[str, str]


def container_start(image: str | None, storage: Storage, platform: str) -> ContainerStart:
    """How the containers of an image start; a runner that they may need is put into the datastore.

    Args:
        image: its name; one called ``airflow-conda-flow-runner`` holds the runner.
        storage: the datastore's.
        platform: the conda platform of the container.

    Raises:
        DatastoreError: the datastore cannot be read or written.
    """
    plain = ContainerStart(["/bin/sh", "-c", f'{_WORDS}exec {RUNNER} "$@"'], {})
    if image is None or _RUNNER_IMAGE.search(image) or platform != current_platform():
        return plain
    try:
        key = published_runner(storage)
    except SettingError:
        return plain  # not to be made on this machine: then the image must hold it
    shell, option, script, program = fetching_command()
    return ContainerStart(
        [shell, option, _WORDS + script, program], {ARCHIVE_VARIABLE: f"{storage.url}/{key}"}
    )
