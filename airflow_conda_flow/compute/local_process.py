"""Tasks as processes of this machine: the runner is this process."""

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
    """Runs attempts in the calling thread's process.

    Args:
        context: the run.
        keepers: who gives the secrets of a type, where it is another than usual.
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
                code_dir=context.code_dir,
                run=context.run,
                python=sys.executable,
            ),
            context.datastore,
            context.environments,
            output=output,
            on_start=lambda pid: on_start(f"pid {pid}"),
            cancel=cancel,
            keepers=self._keepers,
        )
