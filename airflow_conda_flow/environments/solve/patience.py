"""Ends a solve that nothing comes of: of a channel that does not answer, or a program that hangs.

A line says after ``SAY_AFTER`` seconds that something is waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from airflow_conda_flow.datastore.notice import warn
from airflow_conda_flow.environments.solve import ending

SAY_AFTER = 10.0
"""Seconds after which a line says what is waited for."""
QUIET = 90.0
"""Seconds without a sign of life after which a channel is given up."""
LONGEST = 1800.0
"""Seconds that a solve takes at most; conda's own solver has needed minutes."""
_SAY_AGAIN = 60.0  # seconds; a solve of minutes is rare, but not a fault
_LOOK_EVERY = 0.5  # seconds until Ctrl-C is noticed
# Signs of life within ``QUIET`` seconds: each is far less than what fetching or solving needs.
_CPU_SECONDS = 1.0
_BYTES = 100_000

_Made = TypeVar("_Made")


class GivenUp(Exception):
    """The wait is over; the message says after how long, in a few words."""


async def patiently(work: Coroutine[Any, Any, _Made], what: str, folder: Path) -> _Made:
    """Result of py-rattler's work, which has no timeouts of its own.

    Args:
        work: fetches from channels, and solves.
        what: what is waited for, for people.
        folder: what is fetched is kept there.

    Raises:
        GivenUp: nothing has moved for ``QUIET`` seconds, or ``LONGEST`` are over.
    """
    task = asyncio.ensure_future(work)
    started = moved = time.monotonic()
    cpu, size = time.process_time(), _moved_bytes(folder)
    say_at = started + SAY_AFTER
    while True:
        done, _ = await asyncio.wait({task}, timeout=_LOOK_EVERY)
        if done:
            return task.result()
        now = time.monotonic()
        if time.process_time() - cpu > _CPU_SECONDS or abs(_moved_bytes(folder) - size) > _BYTES:
            moved, cpu, size = now, time.process_time(), _moved_bytes(folder)
        if now > say_at:
            warn(f"Waiting for {what}.")
            say_at = now + _SAY_AGAIN
        if now - moved > QUIET or now - started > LONGEST:
            task.cancel()
            quiet = now - started <= LONGEST
            raise GivenUp(f"no answer for {QUIET:.0f} s" if quiet else f"not done after {LONGEST:.0f} s")


def run_program(
    command: Sequence[str],
    what: str,
    environ: Mapping[str, str],
    cwd: str | None = None,
    *,
    seconds: float | None = None,
    folder: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with its output as text; bytes that are no UTF-8 are replaced.

    It is ended with all that it has started if it takes too long, if this process is interrupted, and when
    this process ends for whatever reason. It has no terminal that it could ask.

    Args:
        command: program and arguments.
        what: what is waited for, for people.
        environ: environment variables of the program.
        cwd: its working directory; this process's own if None.
        seconds: how long it may take; ``LONGEST`` if None.
        folder: directory to delete if this process is killed meanwhile; empty for none.

    Raises:
        GivenUp: it is not done after so many seconds.
        OSError: it cannot be started.
    """
    pipe = subprocess.PIPE
    longest = LONGEST if seconds is None else seconds
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        encoding="utf-8",
        errors="replace",
        env=environ,
        cwd=cwd,
        start_new_session=True,
    ) as process:
        started, pause = time.monotonic(), SAY_AFTER
        try:
            tie = _tied_to_this_process(process.pid, folder)
        except BaseException:
            _end(process.pid)
            raise
        try:
            while True:
                left = started + longest - time.monotonic()
                try:
                    out, err = process.communicate(timeout=max(0.0, min(pause, left)))
                except subprocess.TimeoutExpired:
                    if time.monotonic() - started >= longest:
                        raise GivenUp(f"not done after {longest:.0f} s") from None
                    warn(f"Waiting for {what}.")
                    pause = _SAY_AGAIN
                else:
                    return subprocess.CompletedProcess(command, process.returncode, out, err)
        except BaseException:
            _end(process.pid)
            raise
        finally:
            tie()


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _tied_to_this_process(group: int, folder: str) -> Callable[[], None]:
    """Let a process group end when this process does, even by SIGKILL; returns what unties them."""
    reading, writing = os.pipe()
    try:
        watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", ending.__file__, str(reading), str(group), folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(reading,),
            start_new_session=True,
        )
    except BaseException:
        os.close(writing)
        raise
    finally:
        os.close(reading)

    def untie() -> None:
        watcher.kill()
        watcher.wait()
        os.close(writing)

    return untie


def _moved_bytes(folder: Path) -> int:
    """Bytes that this machine has received and that are in the folder: they change while something comes."""
    kept = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                kept += entry.stat().st_size
    return kept + _received()


def _received() -> int:
    """Bytes that came over the network to this machine; 0 where the system does not count them so."""
    try:
        lines = Path("/proc/self/net/dev").read_text(encoding="ascii").splitlines()
        return sum(int(line.partition(":")[2].split()[0]) for line in lines if ":" in line)
    except (OSError, ValueError, IndexError):
        return 0
