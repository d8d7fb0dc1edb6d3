"""Compiles the modules of a prefix, for prefixes that many machines use or that steps cannot write to."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from airflow_conda_flow.environments.stopping import check

# Far longer than any environment needs. Without a limit one module that the compiler hangs on would stop the
# run; with this one the prefix is used as it is.
_SECONDS = 300
_LOOK_EVERY = 0.1


def count_modules(prefix: Path) -> int:
    """Number of modules of a prefix."""
    return sum(name.endswith(".py") for _, _, names in os.walk(prefix / "lib") for name in names)


def compile_modules(
    prefix: Path,
    advance: Callable[[int], None] = lambda _more: None,
    cancel: threading.Event | None = None,
    total: int = 0,
) -> bool:
    """Compile all modules of a prefix; True if that succeeded. The prefix also works without bytecode.

    A prefix that steps can write to does not need this: Python stores the bytecode of a module at its first
    import, and compiling modules that are never imported would cost more than it saves.

    Args:
        prefix: the prefix.
        advance: called with the number of further modules that are compiled.
        cancel: when set, the work ends.
        total: how many modules there are, from ``count_modules``.

    Raises:
        Stopped: ``cancel`` was set.
    """
    python, library = str(prefix / "bin" / "python"), str(prefix / "lib")
    # A line for each module comes at once with -u; the compiler's own processes write to the same pipe.
    command = [python, "-I", "-u", "-m", "compileall", "-j", "2", library]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return False
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    counted = [0]
    reader = threading.Thread(
        target=_count, args=(process.stdout, advance, counted), name="compile", daemon=True
    )
    reader.start()
    end, succeeded = time.monotonic() + _SECONDS, False
    try:
        while True:
            check(cancel)
            try:
                succeeded = process.wait(_LOOK_EVERY) == 0
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() > end:
                    break
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join()
        process.stdout.close()
    if succeeded:  # the last lines of the compiler's own processes are lost
        advance(max(0, total - counted[0]))
    return succeeded


def _count(lines: Iterable[bytes], advance: Callable[[int], None], counted: list[int]) -> None:
    for line in lines:
        # Two processes write here, so that two texts may come before their line breaks.
        more = line.count(b"Compiling '")
        counted[0] += more
        advance(more)
