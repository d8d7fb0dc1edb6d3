"""``Runner``: start and follow runs of a flow file from another program."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.client.past_run import Run
from airflow_conda_flow.client.past_task import Task
from airflow_conda_flow.client.stored_object import restored
from airflow_conda_flow.errors import LaunchError
from airflow_conda_flow.launch.executing import ExecutingRun, ExecutingTask
from airflow_conda_flow.launch.flow_command import FlowCommand
from airflow_conda_flow.launch.option_words import option_words

if TYPE_CHECKING:
    from typing_extensions import Self

_PAUSE = 0.02
"""Seconds between two checks for the file that a command writes when its run has begun."""


class Runner:
    """Launcher of a flow file's commands, as processes on this machine.

    Both ``Runner`` and the objects that it returns are context managers that call ``cleanup`` at the end.

    Args:
        flow_file: path of the flow file, absolute or relative to the current directory.
        show_output: print the output of runs as it grows; without effect on the ``async_`` methods.
        profile: name of the Metaflow profile, which selects ``config_<profile>.json``.
        env: additional environment variables.
        cwd: directory to run in; the current one if None.
        file_read_timeout: seconds that a run of the ``async_`` methods may take to begin, which includes
            making its environments. The default is Metaflow's.
        options: options before the command, such as ``environment="conda"``, ``decospecs=["retry"]``.

    Raises:
        LaunchError: the flow file does not exist.
    """

    def __init__(
        self,
        flow_file: str | os.PathLike[str],
        show_output: bool = True,
        profile: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        file_read_timeout: float = 3600,
        **options: Any,
    ) -> None:
        self.flow_file = Path(flow_file).absolute()
        if not self.flow_file.is_file():
            raise LaunchError(
                f"Runner({str(flow_file)!r}): there is no such file in {Path.cwd()}. Name a flow file."
            )
        self._show = show_output
        self._environ = {**os.environ, **(env or {})}
        if profile is not None:
            self._environ["METAFLOW_PROFILE"] = profile
        self._cwd = None if cwd is None else os.fspath(cwd)
        self._patience = file_read_timeout
        self._options = option_words(options)
        self._commands: list[FlowCommand] = []
        self._directories: list[Path] = []
        self._left: list[tuple[FlowCommand, Path]] = []
        # For programs that never call ``cleanup``: at their end, or when nothing refers to this object.
        weakref.finalize(self, _discard, self._left)

    def run(self, **keywords: Any) -> ExecutingRun:
        """Run the flow and return the run when it has ended, successful or failed.

        Args:
            keywords: parameters of the flow, and options of ``run``: ``tags=["a"]``, ``max_workers=4``.

        Raises:
            LaunchError: no run began, because a keyword or value is wrong or an environment cannot be made.
        """
        return self._followed("run", keywords)

    def resume(self, **keywords: Any) -> ExecutingRun:
        """Resume a run and return the new run when it has ended, successful or failed.

        Args:
            keywords: ``origin_run_id=``, ``step_to_rerun=``, and options of ``run``.

        Raises:
            LaunchError: no run began.
        """
        return self._followed("resume", keywords)

    def spin(self, pathspec: str, **keywords: Any) -> ExecutingTask:
        """Run one step with the inputs of a past run, and return the task when it has ended.

        Args:
            pathspec: name of a step, or a task as ``RUN_ID/STEP/TASK_ID``.
            keywords: options of ``spin``: ``persist=True``, ``artifacts_module="inputs.py"``.

        Raises:
            LaunchError: no task began, or the step failed. ``async_spin`` returns a failed task, too.
        """
        command, attributes = self._start("spin", keywords, pathspec)
        command.follow(show=self._show)
        task = self._executing_task(command, attributes)
        if command.returncode:
            raise LaunchError(
                f"{self.flow_file}: the spun step {pathspec} failed:\n{command.text('stdout').strip()}"
            )
        return task

    async def async_run(self, **keywords: Any) -> ExecutingRun:
        """Start a run as ``run`` does, and return it when it has begun.

        Raises:
            LaunchError: no run began, or not within ``file_read_timeout``.
        """
        return await self._begun("run", keywords)

    async def async_resume(self, **keywords: Any) -> ExecutingRun:
        """Start a run as ``resume`` does, and return it when it has begun.

        Raises:
            LaunchError: no run began, or not within ``file_read_timeout``.
        """
        return await self._begun("resume", keywords)

    async def async_spin(self, pathspec: str, **keywords: Any) -> ExecutingTask:
        """Start a task as ``spin`` does, and return it when it has begun.

        Raises:
            LaunchError: no task began, or not within ``file_read_timeout``.
        """
        command, attributes = self._start("spin", keywords, pathspec)
        await self._wait_until_begun("spin", command, attributes)
        return self._executing_task(command, attributes)

    def cleanup(self) -> None:
        """End all commands that still run, and remove temporary files. Printed texts stay readable."""
        for command in self._commands:
            command.end()
            command.keep_output()
        for directory in self._directories:
            shutil.rmtree(directory, ignore_errors=True)
        self._commands, self._directories = [], []
        self._left.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.cleanup()

    def _followed(self, name: str, keywords: Mapping[str, Any]) -> ExecutingRun:
        command, attributes = self._start(name, keywords)
        command.follow(show=self._show)
        return self._executing(command, attributes)

    async def _begun(self, name: str, keywords: Mapping[str, Any]) -> ExecutingRun:
        command, attributes = self._start(name, keywords)
        await self._wait_until_begun(name, command, attributes)
        return self._executing(command, attributes)

    async def _wait_until_begun(self, name: str, command: FlowCommand, attributes: Path) -> None:
        limit = time.monotonic() + self._patience
        while command.returncode is None and not os.path.exists(attributes):  # noqa: ASYNC240, PTH110 - at once
            if time.monotonic() > limit:
                await asyncio.to_thread(command.end)
                raise LaunchError(
                    f"{self.flow_file.name} {name} has not begun after {self._patience:g} seconds, and was "
                    "ended. Give Runner a longer file_read_timeout=."
                )
            await asyncio.sleep(_PAUSE)

    def _start(self, name: str, keywords: Mapping[str, Any], *words: str) -> tuple[FlowCommand, Path]:
        """Start a command; return it with the path of the file that will name its run or task."""
        directory = Path(tempfile.mkdtemp(prefix="conda-flow-runner-"))
        self._directories.append(directory)
        attributes, given = directory / "attributes.json", directory / "keywords.json"
        # Values that JSON does not know, such as paths, become text, as on a command line.
        # In a file, because only the command's own process knows its options; see ``cli.keywords``.
        given.write_text(json.dumps(keywords, default=str), encoding="utf-8")
        command = FlowCommand(
            [
                *(sys.executable, str(self.flow_file), "--keywords-file", str(given)),
                *(*self._options, name, *words, "--runner-attribute-file", str(attributes)),
            ],
            directory,
            self._environ,
            self._cwd,
        )
        self._commands.append(command)
        self._left.append((command, directory))
        return command, attributes

    def _executing(self, command: FlowCommand, attributes: Path) -> ExecutingRun:
        found = self._found(command, attributes)
        pathspec = f"{found['flow_name']}/{found['run_id']}"
        return ExecutingRun(command, restored(Run, pathspec, None, found["metadata"], None), self.cleanup)

    def _executing_task(self, command: FlowCommand, attributes: Path) -> ExecutingTask:
        found = self._found(command, attributes)
        pathspec = "/".join(found[name] for name in ("flow_name", "run_id", "step_name", "task_id"))
        return ExecutingTask(command, restored(Task, pathspec, None, found["metadata"], None), self.cleanup)

    def _found(self, command: FlowCommand, attributes: Path) -> dict[str, Any]:
        """Names of the run or task that the command made.

        Raises:
            LaunchError: it made none.
        """
        if not attributes.exists():
            said = command.text("stderr").strip() or command.text("stdout").strip()
            command.end()  # this one alone: other runs of the same Runner continue
            raise LaunchError(
                f"{self.flow_file} came to nothing; it ended with {command.returncode}:\n{said}"
            )
        found: dict[str, Any] = json.loads(attributes.read_text(encoding="utf-8"))
        return found


def _discard(left: list[tuple[FlowCommand, Path]]) -> None:
    """Remove the temporary files of commands that have ended; others still write to theirs."""
    for command, directory in left:
        if command.returncode is not None:
            shutil.rmtree(directory, ignore_errors=True)
