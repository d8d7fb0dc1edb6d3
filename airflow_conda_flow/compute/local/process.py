"""Compute that runs attempts on this machine; this process is their runner."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from airflow_conda_flow.compute.compute import RunContext
from airflow_conda_flow.runner.attempt import Output, run_attempt
from airflow_conda_flow.runner.secret_values import Keeper
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult


class LocalProcess:
    """Compute that runs each step as a child process of this process.

    Args:
        context: the run.
        keepers: sources of secrets by type, in place of the default ones.
    """

    def __init__(self, context: RunContext, keepers: Mapping[str, Keeper] | None = None) -> None:
        self._context = context
        self._keepers = keepers

    def run(
        self,
        request: TaskRequest,
        output: Output,
        on_start: Callable[[str], None],
        cancel: threading.Event,
    ) -> TaskResult:
        """Run one attempt to its end; see ``Compute.run``."""
        context = self._context
        return run_attempt(
            replace(
                request,
                sources=context.sources,
                run=context.run,
                python=sys.executable,
            ),
            context.datastore,
            context.environments,
            output=output,
            on_start=lambda pid: on_start(f"pid {pid}"),
            cancel=cancel,
            keepers=self._keepers,
            servers=context.fork_servers,
            step_credentials=context.settings.step_credentials,
        )
