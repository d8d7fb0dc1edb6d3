"""Exit hooks of runs from the command line: they are called in the process of ``run``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_conda_flow.client import scope
from airflow_conda_flow.client.exit_hooks import call_hooks
from airflow_conda_flow.client.past_run import Run
from airflow_conda_flow.client.stored_object import restored
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.local.console import Console
from airflow_conda_flow.local.run import LocalRun


class RunHooks:
    """Exit hooks of one run.

    Attributes:
        has_begun: True if the run has a manifest, so that hooks can receive the run.
    """

    def __init__(self, definition: FlowDefinition, run: LocalRun, console: Console) -> None:
        self.has_begun = False
        self._definition = definition
        self._run = run
        self._console = console

    @contextmanager
    def around(self) -> Iterator[None]:
        """Call the hooks for errors if the block raises: the run did not begin, or was aborted."""
        try:
            yield
        except BaseException:
            self.call(succeeded=False)
            raise

    def call(self, *, succeeded: bool) -> None:
        """Call the hooks for this outcome. One that fails is reported, and does not change the exit code."""
        functions = self._definition.exit_hooks(succeeded)
        if not functions:
            return
        # The hooks use the client, which has to read the datastore of this run.
        scope.metadata(self._run.datastore_name)
        pathspec = f"{self._definition.name}/{self._run.run_id}"
        run = restored(Run, pathspec, None, self._run.datastore_name, None) if self.has_begun else None
        call_hooks(functions, run, self._console.error)
