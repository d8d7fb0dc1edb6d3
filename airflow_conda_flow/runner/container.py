"""One attempt as the whole work of a container: its output is the container's, its end the exit code."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import FrameType

from airflow_conda_flow.datastore.datastore import Datastore, open_datastore
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.packed import CONTAINER_CACHE
from airflow_conda_flow.errors import CondaFlowError, SettingError, TaskFailed
from airflow_conda_flow.runner.attempt import run_attempt
from airflow_conda_flow.runner.attempt_record import commit_failure
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult
from airflow_conda_flow.settings import Settings, load_settings

DONE, STEP_FAILED, CANNOT_RUN = 0, 1, 3
_ENDED_BY_SIGNAL = 128
SCRATCH = "/tmp/airflow-conda-flow"  # noqa: S108 - the container is ours alone
"""Where this container alone writes: artifacts, logs and code. A cache directory may be shared by a node."""
_COMMIT_SECONDS = 10.0
"""After a signal: how long an attempt may take to end itself. Kubernetes and Batch kill after 30."""


def run_in_container(request: TaskRequest) -> int:
    """Run one attempt to its end, and say how it ended.

    Returns:
        0: done. 1: the step failed; its manifest says how. 3: the step never started; the message
        says why, and so does a manifest if the datastore could be written. 128 + n: ended by signal n.

    Raises:
        SettingError: the environment variables name no S3 datastore.
    """
    settings = container_settings()
    datastore = open_container_datastore(settings)
    ending = _Ending(request, datastore)
    try:
        result = run_attempt(
            replace(request, python=image_python(), is_elsewhere=True),
            datastore,
            Environments(settings.cache_dir, storage=datastore.storage),
            output=write_line,
            on_start=ending.step_started,
            cancel=ending.cancel,
        )
    except CondaFlowError as error:
        sys.stderr.write(f"{error}\n")
        with contextlib.suppress(CondaFlowError, OSError):
            commit_failure(datastore.storage, request, error)
        return CANNOT_RUN
    return ending.code(result)


def write_line(stream: str, line: str) -> None:
    """Print a line of the step at once, whatever this process's encoding is."""
    file = sys.stderr if stream == "stderr" else sys.stdout
    file.buffer.write(line.encode("utf-8", "backslashreplace") + b"\n")
    file.buffer.flush()


def image_python() -> str:
    """The interpreter for steps without an environment: the image's own, not the runner's.

    Where the image has none this is a name that cannot be started, and the step's failure says so.
    """
    own = Path(sys.prefix).resolve()
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if folder and Path(folder).resolve() != own / "bin":
            found = shutil.which("python3", path=folder) or shutil.which("python", path=folder)
            if found:
                return found
    return "python3"


class _Ending:
    """Knows whether the attempt was told to end, and sees to it that it does.

    Args:
        request: the attempt.
        datastore: where it is committed.
    """

    def __init__(self, request: TaskRequest, datastore: Datastore) -> None:
        self.cancel = threading.Event()
        self._request = request
        self._datastore = datastore
        self._signal: int | None = None
        self._started = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def step_started(self, pid: int) -> None:
        """Note that the step's process is there; where memory ends the kernel takes it, not us."""
        self._started = True
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/oom_score_adj").write_text("1000", encoding="ascii")

    def code(self, result: TaskResult) -> int:
        """The exit code; what the step did not say itself is said here."""
        if result.ok:
            return DONE
        if result.exception is not None:
            for line in result.exception["traceback"].splitlines():
                write_line("stderr", line)
        if self._signal is not None:
            return _ENDED_BY_SIGNAL + self._signal
        return STEP_FAILED if self._started else CANNOT_RUN

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._signal is None:
            self._signal = number
            self.cancel.set()
            # A download or an installation is not interrupted: then the container ends without it.
            last_resort = threading.Timer(_COMMIT_SECONDS, self._give_up, [number])
            last_resort.daemon = True
            last_resort.start()

    def _give_up(self, number: int) -> None:
        error = TaskFailed("The task was ended before it finished.")
        with contextlib.suppress(CondaFlowError, OSError):
            commit_failure(self._datastore.storage, self._request, error)
        os._exit(_ENDED_BY_SIGNAL + number)


def container_settings() -> Settings:
    """The settings in force in a container, where S3 is the only datastore."""
    # A user without a home, as containers often have, has no configuration file either.
    os.environ.setdefault("HOME", "/")
    cache = os.environ.get("CONDA_FLOW_CACHE_DIR") or CONTAINER_CACHE
    environ = {**os.environ, "CONDA_FLOW_CACHE_DIR": cache}
    settings = load_settings(environ=environ)
    if settings.datastore != "s3":
        raise SettingError(
            "A container reaches an S3 datastore alone. Set CONDA_FLOW_DATASTORE=s3 and "
            "CONDA_FLOW_DATASTORE_ROOT=s3://bucket/prefix in it."
        )
    return settings


def open_container_datastore(settings: Settings) -> Datastore:
    """The datastore of the settings; what comes from it is kept where this container alone writes."""
    return open_datastore(settings.datastore, settings.datastore_root, SCRATCH)
