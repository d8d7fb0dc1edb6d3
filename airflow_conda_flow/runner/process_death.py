"""Explains why a step process ended without a ``done`` or ``failed`` message."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_conda_flow.errors import TaskFailed
from airflow_conda_flow.runner.attempt_record import as_exception
from airflow_conda_flow.runner.step_process import ProcessEnd

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import ExceptionRecord

# Files of cgroup version 2, then of version 1. A container sees its own cgroup at the root of the hierarchy.
# Outside a container these files are missing or state no limit.
_KILL_COUNTS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_MEBIBYTE = 1024 * 1024


def describe_death(end: ProcessEnd) -> ExceptionRecord:
    """Exception record for a step process that died."""
    if end.cancelled:
        message = "The task was ended before it finished."
    elif end.return_code < 0:
        message = _killed(_signal_name(-end.return_code))
    else:
        message = f"The step's process ended with exit code {end.return_code} before the step did."
    return as_exception(TaskFailed(message))


def _killed(name: str) -> str:
    if name == "SIGSEGV":
        return "The step's process was killed by SIGSEGV, a segmentation fault: native code crashed."
    if name != "SIGKILL":
        return f"The step's process was killed by {name}."
    limit = _limit_in_mebibytes()
    if limit is not None and _ran_out_of_memory():
        return (
            f"The step's process was killed: it needed more memory than its container may have, {limit} MB. "
            "Give the step more with @resources(memory=...)."
        )
    return f"The step's process was killed by {name}. Often that is the machine running out of memory."


def _ran_out_of_memory() -> bool:
    """True if the kernel killed a process of this container because of its memory limit."""
    # A container runs one attempt, so any kill was one of its processes: the step's or a child's.
    for path in _KILL_COUNTS:
        for line in _lines(path):
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count != "0":
                return True
    return False


def _limit_in_mebibytes() -> int | None:
    for path in _LIMITS:
        for line in _lines(path):
            if line.isdigit():
                return int(line) // _MEBIBYTE
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except OSError:
        return []


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal, which has no name of its own
        return f"signal {number}"
