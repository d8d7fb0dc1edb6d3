"""The command that starts a container, for images with and without the runner."""

from __future__ import annotations

import json
from pathlib import Path

from airflow_conda_flow.runner import bootstrap
from airflow_conda_flow.runner.manifest_line import NOTHING, manifest_line
from airflow_conda_flow.runner.task_request import TaskRequest

RUNNER_HOME = "/opt/airflow-conda-flow"
"""Directory of the runner in the runner image; on Kubernetes the volume with the runner is mounted here."""
RUNNER = f"{RUNNER_HOME}/bin/runner"

# POSIX sh only: the image is the user's, and nothing but /bin/sh is required of it. ``$0`` is the text of
# ``bootstrap.py``, because ``sh -c SCRIPT PROGRAM ARGUMENTS`` makes PROGRAM the name of the script.
_FETCH = """\
[ -x {runner} ] && exec {runner} "$@"
echo "{nothing}"
for python in python3 python; do
  command -v $python >/dev/null 2>&1 && exec $python -I -c "$0" "$@"
done
echo "This image holds neither {runner} nor a python3 that could fetch it: base the image on the runner \
image, as docs/containers.md says." >&2
exit 3
"""


def run_words(request: TaskRequest) -> list[str]:
    """Arguments that follow the command: ``run`` and the request as compact JSON."""
    return ["run", json.dumps(request.to_dict(), separators=(",", ":"))]


def fetching_command() -> list[str]:
    """Command for an image that may not hold the runner; append ``run_words`` to it.

    The command is the same for every task: the archive's URL is in the environment variable
    ``settings.variables.RUNNER_ARCHIVE``, and the container supplies the credentials.
    """
    text = Path(bootstrap.__file__).read_text(encoding="utf-8")
    return ["/bin/sh", "-c", _FETCH.format(runner=RUNNER, nothing=manifest_line(NOTHING)), text]
