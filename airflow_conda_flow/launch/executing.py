"""``ExecutingRun`` and ``ExecutingTask``: a run or task that a program started, with its process."""

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
    """A running or ended command of a flow file, with the run or task that it made.

    As a context manager it cleans up at its end, as ``Runner`` does.

    Args:
        command: process of the command.
        found: run or task, to be read with the client.
        clean_up: ends all processes of the same ``Runner`` and removes their temporary files.
    """

    def __init__(self, command: FlowCommand, found: _Found, clean_up: Callable[[], None]) -> None:
        self._command = command
        self._found = found
        self._clean_up = clean_up

    @property
    def status(self) -> str:
        """``running``, ``successful``, ``failed``, or ``timeout`` after ``wait`` ended the process."""
        return self._command.status

    @property
    def returncode(self) -> int | None:
        """Exit code of the process; None while it runs."""
        return self._command.returncode

    @property
    def stdout(self) -> str:
        """Standard output of the process so far."""
        return self._command.text("stdout")

    @property
    def stderr(self) -> str:
        """Standard error of the process so far."""
        return self._command.text("stderr")

    async def wait(self, timeout: float | None = None, stream: str | None = None) -> Self:
        """Wait until the process has ended, and return ``self``.

        Args:
            timeout: seconds after which the process is ended, with the status ``timeout``; None for no limit.
            stream: ``stdout`` or ``stderr``, to print that stream as it grows.

        Raises:
            ValueError: there is no such stream.
        """
        await self._command.ended(timeout, stream)
        return self

    async def stream_log(self, stream: str, position: int | None = None) -> AsyncIterator[tuple[int, str]]:
        """Lines of a stream as they are printed, until the process has ended, each after its end position.

        Args:
            stream: ``stdout`` or ``stderr``.
            position: position to start from, in bytes; the one that came with a line continues after it.

        Raises:
            ValueError: there is no such stream.
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
    """A run that a program has started."""

    @property
    def run(self) -> Run:
        """Run as an object of the client; its tasks appear as they end."""
        return self._found


class ExecutingTask(ExecutingProcess[Task]):
    """A task that a program has started with ``spin``."""

    @property
    def task(self) -> Task:
        """Task as an object of the client, once it has ended. Artifacts need ``persist=True``."""
        return self._found
