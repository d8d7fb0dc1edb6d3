"""Starts the interpreter of a step process, with what ties the process to its runner."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from airflow_conda_flow.errors import TaskFailed


class StepProcess(Protocol):
    """A step process as ``subprocess.Popen`` shows one."""

    pid: int
    """Its process id, and that of its process group."""
    stdout: IO[bytes] | None
    """Its standard output."""
    stderr: IO[bytes] | None
    """Its standard error."""

    def wait(self, timeout: float | None = None) -> int:
        """Its return code, negative for a signal, when it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not ended in this time, in seconds.
        """

    def close(self) -> None:
        """Wait for its end, and close the streams."""


class InterpreterProcess(subprocess.Popen[bytes]):
    """A step process in an interpreter of its own."""

    def close(self) -> None:
        """See ``StepProcess``."""
        self.__exit__(None, None, None)


@dataclass(frozen=True)
class Started:
    """A step process, and the runner's ends of what connects them.

    Attributes:
        process: the process.
        link: socket for messages.
        held: writing end of a pipe that nobody writes to. When the runner dies, however it dies, this end is
            closed, and ``runtime/lifeline.py`` ends the step process and its children.
    """

    process: StepProcess
    link: socket.socket
    held: int

    def close(self) -> None:
        """Close both, which ends a process that still runs."""
        os.close(self.held)
        self.link.close()


def connected(start: Callable[[int, int], StepProcess]) -> Started:
    """Start a process with the other ends; ``start`` is called with their descriptors, for it to inherit."""
    link, theirs = socket.socketpair()
    life_line, held = os.pipe()
    try:
        process = start(theirs.fileno(), life_line)
    except BaseException:
        os.close(held)
        link.close()
        raise
    finally:
        theirs.close()
        os.close(life_line)
    return Started(process, link, held)


def start_interpreter(command: Sequence[str], environ: Mapping[str, str], directory: Path | None) -> Started:
    """Start a step process in an interpreter of its own.

    Args:
        command: interpreter, options and script; the two descriptors are appended.
        environ: its environment variables.
        directory: its working directory; None is the runner's own.

    Raises:
        TaskFailed: the interpreter cannot be started.
        OSError: this machine has no room for a process more.
    """

    def start(link: int, life_line: int) -> InterpreterProcess:
        return InterpreterProcess(
            [*command, str(link), str(life_line)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ,
            cwd=directory,
            pass_fds=(link, life_line),
            start_new_session=True,  # a process group of its own, which can be ended
            bufsize=0,
        )

    try:
        return connected(start)
    except (OSError, ValueError) as error:
        if (reason := _no_start(error, command[0], environ)) is None:
            raise
        raise TaskFailed(reason) from error


def _no_start(error: OSError | ValueError, interpreter: str, environ: Mapping[str, str]) -> str | None:
    """Why a process cannot be started by the command and variables that it gets; None for another cause."""
    if isinstance(error, ValueError):  # a name that is empty or has "=", or a null character
        wrong = [name for name, value in environ.items() if not name or "=" in name or "\0" in name + value]
        return f"The environment variable {wrong[0]!r} of the step is none: {error}." if wrong else None
    if error.errno == errno.E2BIG:
        name, value = max(environ.items(), key=lambda each: len(each[1]))
        return (
            f"The step's environment variables are too long for this machine; the longest is {name}, with "
            f"{len(value)} characters. Pass large values as artifacts or files."
        )
    if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ENOEXEC}:
        return f"The step's interpreter {interpreter} cannot be started: {error.strerror}."
    return None
