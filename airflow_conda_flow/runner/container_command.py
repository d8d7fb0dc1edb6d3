"""The command that a container is started with, whether its image holds the runner or not."""

from __future__ import annotations

import json
from pathlib import Path

from airflow_conda_flow.runner import bootstrap
from airflow_conda_flow.runner.task_request import TaskRequest

HOME = "/opt/airflow-conda-flow"
"""Where the runner is in the runner image, and where an init container puts it."""
RUNNER = f"{HOME}/bin/runner"
ARCHIVE_VARIABLE = "CONDA_FLOW_RUNNER"
"""The environment variable with the s3:// URL of the runner's archive."""

_FETCH = """\
[ -x {runner} ] && exec {runner} "$@"
for python in python3 python; do
  command -v $python >/dev/null 2>&1 && exec $python -I -c "$0" "$@"
done
echo "This image holds neither {runner} nor a python3 that could fetch it: base the image on the runner \
image, as docs/containers.md says." >&2
exit 3
"""


def run_words(request: TaskRequest) -> list[str]:
    """What follows the command: which attempt to run."""
    return ["run", json.dumps(request.to_dict(), separators=(",", ":"))]


def fetching_command() -> list[str]:
    """The command for an image that may not hold the runner; ``run_words`` follow it.

    It is the same for every task: the archive's URL is in the environment variable ``ARCHIVE_VARIABLE``,
    and credentials are found in the container.
    """
    text = Path(bootstrap.__file__).read_text(encoding="utf-8")
    return ["/bin/sh", "-c", _FETCH.format(runner=RUNNER), text]
