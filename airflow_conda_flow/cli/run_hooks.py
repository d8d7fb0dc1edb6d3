"""What ``@exit_hook`` does on the command line: it is called in the process of ``run``."""

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
    """The exit hooks of one run.

    Attributes:
        has_begun: whether there is a run to tell them of.
    """

    def __init__(self, definition: FlowDefinition, run: LocalRun, console: Console) -> None:
        self.has_begun = False
        self._definition = definition
        self._run = run
        self._console = console

    @contextmanager
    def around(self) -> Iterator[None]:
        """Call those of an error if the run does not begin, or is not run to its end."""
        try:
            yield
        except BaseException:
            self.call(succeeded=False)
            raise

    def call(self, *, succeeded: bool) -> None:
        """Call those for a run that ended so; one that fails changes nothing but the lines."""
        functions = self._definition.exit_hooks(succeeded)
        if not functions:
            return
        scope.metadata(self._run.datastore_name)
        pathspec = f"{self._definition.name}/{self._run.run_id}"
        run = restored(Run, pathspec, None, self._run.datastore_name, None) if self.has_begun else None
        call_hooks(functions, run, self._console.error)
