"""Runs one attempt as the whole work of a container: prints its output, returns its end as an exit code."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType

from airflow_conda_flow.datastore.datastore import Datastore, open_datastore
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.packed import CONTAINER_CACHE
from airflow_conda_flow.environments.progress import open_progress
from airflow_conda_flow.errors import CondaFlowError, SettingError, TaskFailed
from airflow_conda_flow.records.task_record import TaskRecord
from airflow_conda_flow.runner.attempt import run_attempt
from airflow_conda_flow.runner.attempt_record import commit_failure
from airflow_conda_flow.runner.manifest_line import NOTHING, manifest_line
from airflow_conda_flow.runner.signals import outside_handler
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult
from airflow_conda_flow.settings.loading import Settings, load_settings

# Exit codes, part of the contract in docs/containers.md. 2 is a usage error (``command.py``).
DONE, STEP_FAILED, CANNOT_RUN = 0, 1, 3
_PR_SET_DUMPABLE = 4  # of <linux/prctl.h>
_ENDED_BY_SIGNAL = 128  # plus the number of the signal, as shells report it
SCRATCH = "/tmp/airflow-conda-flow"  # noqa: S108 - the container is ours alone
"""Directory for artifacts, logs and code, used by this container only. The cache directory, in contrast, may
be shared by all containers of a machine."""
_COMMIT_SECONDS = 10.0
"""Seconds after a signal within which an attempt should end and commit itself.

More than the 5 s that a step has between SIGTERM and SIGKILL (``step_process.py``). Kubernetes and Batch kill
the container 30 s after the signal, so about 20 s remain to commit the failure from outside.
"""


def run_in_container(request: TaskRequest) -> int:
    """Run one attempt to its end and return the container's exit code.

    Returns:
        0: done. 1: the step failed; the manifest holds the exception. 3: the step never started; a message
        on standard error says why, and so does the manifest if the datastore could be written.
        128 + n: ended by signal n.

    Raises:
        SettingError: the environment variables name no S3 datastore.
    """
    _keep_from_step()
    _tell(NOTHING)
    settings = container_settings()
    datastore = open_container_datastore(settings)
    ending = _Ending(request, datastore)
    try:
        result = run_attempt(
            replace(request, python=image_python(), is_elsewhere=True),
            datastore,
            Environments(settings.cache_dir, storage=datastore.storage, progress=open_progress()),
            output=write_line,
            on_start=ending.step_started,
            cancel=ending.cancel,
            step_credentials=settings.step_credentials,
            on_commit=_tell_end,
        )
    except CondaFlowError as error:
        sys.stderr.write(f"{error}\n")
        with contextlib.suppress(CondaFlowError, OSError):
            commit_failure(datastore.storage, request, error)
        return CANNOT_RUN
    return ending.code(result)


def _tell(sha256: str) -> None:
    write_line("stdout", manifest_line(sha256))


def _tell_end(record: TaskRecord) -> None:
    """Print the traceback of a failure, then the digest of the record that is about to be stored."""
    if not record.is_done and record.exception is not None:
        for line in record.exception["traceback"].splitlines():
            write_line("stderr", line)
    _tell(record.sha256)


def _keep_from_step() -> None:
    """Keep the memory and the environment variables of this process from others of its user.

    The step is such a process. Without the capability SYS_PTRACE, which containers do not have by default, it
    cannot read ``/proc/<pid>/environ`` of a process that is not dumpable, whoever it runs as:
    https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def write_line(stream: str, line: str) -> None:
    """Print a line of the step in UTF-8, whatever this process's encoding is, and flush it."""
    file = sys.stderr if stream == "stderr" else sys.stdout
    file.buffer.write(line.encode("utf-8", "backslashreplace") + b"\n")
    file.buffer.flush()


def image_python() -> str:
    """Interpreter for steps without an environment: the image's own, never the runner's.

    If the image has none this is ``python3``, which cannot be started: the step then fails with that message.
    """
    own = Path(sys.prefix).resolve()
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if folder and Path(folder).resolve() != own / "bin":
            found = shutil.which("python3", path=folder) or shutil.which("python", path=folder)
            if found:
                return found
    return "python3"


class _Ending:
    """Ends the attempt when the container receives a signal, and chooses the exit code.

    Args:
        request: the attempt.
        datastore: where it is committed.

    Attributes:
        cancel: set when the attempt has to end.
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
        """Note that the step process runs, and make the kernel kill it before the runner.

        If a step exceeds the container's memory limit, the runner has to survive: it commits the failure.
        """
        self._started = True
        # 1000 is the highest score: the kernel chooses the process with the highest score first.
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/oom_score_adj").write_text("1000", encoding="ascii")

    def code(self, result: TaskResult) -> int:
        """Exit code for a result."""
        if result.ok:
            return DONE
        if self._signal is not None:
            return _ENDED_BY_SIGNAL + self._signal
        return STEP_FAILED if self._started else CANNOT_RUN

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._signal is None:
            self._signal = number
            outside_handler(self.cancel.set)
            # Setting ``cancel`` ends a step process, and the making of an environment, but no upload. If one
            # takes too long, the whole process ends.
            outside_handler(partial(self._give_up, number))

    def _give_up(self, number: int) -> None:
        time.sleep(_COMMIT_SECONDS)
        error = TaskFailed("The task was ended before it finished.")
        with contextlib.suppress(CondaFlowError, OSError):
            commit_failure(self._datastore.storage, self._request, error)
        os._exit(_ENDED_BY_SIGNAL + number)


def container_settings() -> Settings:
    """Settings in force in a container, where S3 is the only datastore.

    Raises:
        SettingError: the environment variables name no S3 datastore.
    """
    # Containers often run as a user without a home directory, and then ``~`` cannot be resolved.
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
    """Datastore of the settings; downloads go to ``SCRATCH``, which this container alone uses."""
    return open_datastore(settings.datastore, settings.datastore_root, SCRATCH)
