"""``ExecutingRun`` and ``ExecutingTask``: what a program started, and the process that runs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from airflow_conda_flow.client.past_run import Run
from airflow_conda_flow.client.past_task import Task
from airflow_conda_flow.launch.flow_command import FlowCommand

if TYPE_CHECKING:
    from typing_extensions import Self

_Found = TypeVar("_Found")


class ExecutingProcess(Generic[_Found]):
    """A command of a flow file, and what it is about. As a context manager it cleans up at its end.

    Args:
        command: the process.
        found: what it is about, for the client to read.
        clean_up: ends the process and removes its temporary files.
    """

    def __init__(self, command: FlowCommand, found: _Found, clean_up: Callable[[], None]) -> None:
        self._command = command
        self._found = found
        self._clean_up = clean_up

    @property
    def status(self) -> str:
        """``running``, ``successful``, ``failed``, or ``timeout`` after ``wait`` ended it."""
        return self._command.status

    @property
    def returncode(self) -> int | None:
        """The exit code; None while it runs."""
        return self._command.returncode

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return self._command.text("stdout")

    @property
    def stderr(self) -> str:
        """What it has said about itself so far."""
        return self._command.text("stderr")

    async def wait(self, timeout: float | None = None, stream: str | None = None) -> Self:
        """Return itself when it has ended.

        Args:
            timeout: seconds, after which it is ended; its status is ``timeout`` then.
            stream: ``stdout`` or ``stderr``, to print that as it comes.
        """
        await self._command.ended(timeout, stream)
        return self

    async def stream_log(self, stream: str, position: int | None = None) -> AsyncIterator[tuple[int, str]]:
        """The lines of ``stdout`` or ``stderr`` as they come, until it has ended.

        Args:
            stream: which one.
            position: begin there, in bytes; the position that came with a line is the one behind it.
        """
        async for each in self._command.lines(stream, position or 0):
            yield each

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._clean_up()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._found!r}: {self.status}>"


class ExecutingRun(ExecutingProcess[Run]):
    """A run that was started by a program."""

    @property
    def run(self) -> Run:
        """The run, as the client reads it; its tasks appear as they end."""
        return self._found


class ExecutingTask(ExecutingProcess[Task]):
    """A task that was spun by a program."""

    @property
    def task(self) -> Task:
        """The task, as the client reads it once it has ended; with artifacts if ``persist=True``."""
        return self._found
