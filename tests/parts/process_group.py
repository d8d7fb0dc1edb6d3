"""Ends what a test started, all of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess


def end_group(process: subprocess.Popen, seconds: float = 15) -> None:
    """End a process that leads a group, and the group: those that outlive their leader are killed.

    On a machine with much to do a child of ``airflow standalone`` is still starting when the signal to end
    comes, and does not hear it.
    """
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
