"""Ends the processes that a step has left behind in sessions of their own, as daemons are.

A signal to the step's process group does not reach them. They are found by an environment variable that all
processes of a task inherit, in ``/proc``; elsewhere than on Linux nothing is found.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Mapping

_MARK = "_AIRFLOW_CONDA_FLOW_PROCESS"
# A killed process needs a moment to go, and may have started another one before. A process that waits for a
# broken disk does not go at all.
_MOST_SECONDS = 2.0
_POLL_SECONDS = 0.01


def mark(environ: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Environment variables for a process whose descendants ``end_marked`` finds, and the mark in them."""
    # A variable of its own, not a value: a step may run a flow, whose steps then have both marks.
    text = f"{_MARK}_{secrets.token_hex(16)}"
    return {**environ, text: "1"}, text


def end_marked(text: str) -> None:
    """Kill all processes with this mark and their descendants, and wait until they are gone.

    Args:
        text: the mark.
    """
    end = time.monotonic() + _MOST_SECONDS
    while (found := _with_mark(text)) and time.monotonic() < end:
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _with_mark(text: str) -> set[int]:
    wanted = f"{text}=".encode()
    pids = _pids()
    found = {pid for pid in pids if wanted in _read(f"/proc/{pid}/environ")}
    if not found:
        return found
    # Descendants may have dropped their environment variables.
    parents = {pid: _parent(pid) for pid in pids}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names alone
    except OSError:
        return []


def _parent(pid: int) -> int:
    # After the name of the program, which is in brackets and may hold any character.
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def _read(path: str) -> bytes:
    """The bytes of a file; empty if it is another user's, or its process is gone."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - for every process of the machine
            return file.read()
    except OSError:
        return b""
