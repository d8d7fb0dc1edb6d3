"""``NBRunner``: run a flow that is written in a cell of a notebook."""

from __future__ import annotations

import ast
import linecache
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_conda_flow.client.past_run import Run
from airflow_conda_flow.errors import LaunchError
from airflow_conda_flow.flow.flowspec import FlowSpec
from airflow_conda_flow.flow.members import members_of
from airflow_conda_flow.flow.steps import is_step
from airflow_conda_flow.launch.executing import ExecutingRun
from airflow_conda_flow.launch.runner import Runner


class NBRunner:
    """Runs a flow of the same cell: ``NBRunner(MyFlow).nbrun(alpha=1)`` as its last line.

    The cell is written to a file, without its lines that start the flow.

    Args:
        flow: the flow's class.
        show_output: as of ``Runner``.
        profile: as of ``Runner``.
        env: as of ``Runner``.
        base_dir: where the flow runs, and where its file lies meanwhile; the current directory if None.
        file_read_timeout: as of ``Runner``.
        options: as of ``Runner``.

    Raises:
        LaunchError: the cell's text cannot be had.
    """

    def __init__(
        self,
        flow: type[FlowSpec],
        show_output: bool = True,
        profile: str | None = None,
        env: Mapping[str, str] | None = None,
        base_dir: str | os.PathLike[str] | None = None,
        file_read_timeout: float = 3600,
        **options: Any,
    ) -> None:
        directory = Path.cwd() if base_dir is None else Path(base_dir).absolute()
        text = f'{_cell_of(flow)}\n\nif __name__ == "__main__":\n    {flow.__name__}()\n'
        fd, name = tempfile.mkstemp(prefix=f"{flow.__name__.lower()}_", suffix=".py", dir=directory)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
        self._file = Path(name)
        self.runner = Runner(name, show_output, profile, env, directory, file_read_timeout, **options)

    def nbrun(self, **keywords: Any) -> Run:
        """A run that has ended, as the client reads it."""
        try:
            return self.runner.run(**keywords).run
        finally:
            self.cleanup()

    def nbresume(self, **keywords: Any) -> Run:
        """A resumed run that has ended, as the client reads it."""
        try:
            return self.runner.resume(**keywords).run
        finally:
            self.cleanup()

    def run(self, **keywords: Any) -> ExecutingRun:
        """As of ``Runner``; ``cleanup`` is the caller's."""
        return self.runner.run(**keywords)

    def resume(self, **keywords: Any) -> ExecutingRun:
        """As of ``Runner``; ``cleanup`` is the caller's."""
        return self.runner.resume(**keywords)

    async def async_run(self, **keywords: Any) -> ExecutingRun:
        """As of ``Runner``; ``cleanup`` is the caller's."""
        return await self.runner.async_run(**keywords)

    async def async_resume(self, **keywords: Any) -> ExecutingRun:
        """As of ``Runner``; ``cleanup`` is the caller's."""
        return await self.runner.async_resume(**keywords)

    def cleanup(self) -> None:
        """End what still runs and remove temporary files."""
        self.runner.cleanup()
        self._file.unlink(missing_ok=True)


def _cell_of(flow: type[FlowSpec]) -> str:
    """The text of the cell that defines a flow, up to the first line that starts one."""
    steps = [step for step in members_of(flow, object).values() if is_step(step)]
    lines = linecache.getlines(steps[0].__code__.co_filename) if steps else []
    text = "".join(lines)
    try:
        body = ast.parse(text).body
    except SyntaxError:  # what a notebook alone understands, such as %pip
        body = []
    if not any(isinstance(each, ast.ClassDef) and each.name == flow.__name__ for each in body):
        raise LaunchError(
            f"NBRunner({flow.__name__}): the cell that defines {flow.__name__} cannot be read as Python. "
            "Define the whole flow in one cell without % and ! lines, or write it to a file and use Runner."
        )
    for statement in body:
        if any(isinstance(each, ast.Name) and each.id == "NBRunner" for each in ast.walk(statement)):
            return "".join(lines[: statement.lineno - 1])
    return text
