"""Starts processes that hear the signals a test sends them."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any

HEARD = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def start(
    command: Sequence[str | PathLike[str]], *, ignored: Iterable[signal.Signals] = (), **options: Any
) -> subprocess.Popen:
    """Start a process with the signal dispositions that a shell in a terminal gives.

    A process inherits what its starter ignores: ``nohup`` ignores SIGHUP, and a shell without job control
    ignores SIGINT and SIGQUIT for what it runs in the background. A test that sends a signal would fail there.

    Args:
        command: the program and its arguments.
        ignored: signals that the process ignores from its start.
        options: keywords of ``subprocess.Popen``.
    """
    refused = frozenset(ignored)

    def dispose() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        for number in HEARD:
            signal.signal(number, signal.SIG_IGN if number in refused else signal.SIG_DFL)

    # preexec_fn is unsafe with threads that hold locks; this one takes none.
    return subprocess.Popen(command, preexec_fn=dispose, **options)  # noqa: PLW1509
