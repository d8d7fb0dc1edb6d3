"""``NBRunner``: run a flow that is defined in a cell of a notebook."""

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
from airflow_conda_flow.flow.decorators.step import is_step
from airflow_conda_flow.flow.flowspec import FlowSpec
from airflow_conda_flow.flow.members import members_of
from airflow_conda_flow.launch.executing import ExecutingRun
from airflow_conda_flow.launch.runner import Runner


class NBRunner:
    """Runner of a flow from the same cell: ``NBRunner(MyFlow).nbrun(alpha=1)`` is the cell's last line.

    The cell is written to a temporary file, up to the first statement that uses ``NBRunner``.

    Args:
        flow: class of the flow.
        show_output: as for ``Runner``.
        profile: as for ``Runner``.
        env: as for ``Runner``.
        base_dir: directory to run in and to write the temporary file to; the current one if None.
        file_read_timeout: as for ``Runner``.
        options: as for ``Runner``.

    Raises:
        LaunchError: the text of the cell is not available, or is not plain Python.
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
        """Run the flow to its end, clean up, and return the run as an object of the client."""
        try:
            return self.runner.run(**keywords).run
        finally:
            self.cleanup()

    def nbresume(self, **keywords: Any) -> Run:
        """Resume a run, wait for its end, clean up, and return it as an object of the client."""
        try:
            return self.runner.resume(**keywords).run
        finally:
            self.cleanup()

    def run(self, **keywords: Any) -> ExecutingRun:
        """Run the flow as ``Runner.run`` does; the caller has to call ``cleanup``."""
        return self.runner.run(**keywords)

    def resume(self, **keywords: Any) -> ExecutingRun:
        """Resume a run as ``Runner.resume`` does; the caller has to call ``cleanup``."""
        return self.runner.resume(**keywords)

    async def async_run(self, **keywords: Any) -> ExecutingRun:
        """Start a run as ``Runner.async_run`` does; the caller has to call ``cleanup``."""
        return await self.runner.async_run(**keywords)

    async def async_resume(self, **keywords: Any) -> ExecutingRun:
        """Start a resumed run as ``Runner.async_resume`` does; the caller has to call ``cleanup``."""
        return await self.runner.async_resume(**keywords)

    def cleanup(self) -> None:
        """End runs that have not ended, and remove temporary files, including that of the cell."""
        self.runner.cleanup()
        self._file.unlink(missing_ok=True)


def _cell_of(flow: type[FlowSpec]) -> str:
    """Text of the cell that defines the flow, up to the first statement that uses ``NBRunner``."""
    steps = [step for step in members_of(flow, object).values() if is_step(step)]
    # IPython registers the text of every cell with linecache, under the file name of the cell's code. A class
    # has no code object, so the cell is found through one of its steps.
    lines = linecache.getlines(steps[0].__code__.co_filename) if steps else []
    text = "".join(lines)
    try:
        body = ast.parse(text).body
    except SyntaxError:  # syntax that only a notebook understands, such as %pip
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
