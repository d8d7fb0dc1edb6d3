"""Operators that run the nodes of a ``num_parallel`` as one Airflow task: they start, fail and retry as one.

Mapped tasks would start one by one as slots become free, so nodes that wait for each other could wait for
ever. One task needs one slot, and also runs under ``airflow dags test``.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowException

from airflow_conda_flow.airflow.configuration import airflow_settings
from airflow_conda_flow.airflow.failures import as_airflow_error
from airflow_conda_flow.airflow.operators.secret_keepers import airflow_keepers
from airflow_conda_flow.airflow.operators.step import StepOperator, StepTask, recorded_run
from airflow_conda_flow.compute.compute import Compute, RunContext
from airflow_conda_flow.compute.gang import run_together
from airflow_conda_flow.compute.local.process import LocalProcess
from airflow_conda_flow.errors import CondaFlowError
from airflow_conda_flow.runner.attempt import caught_outside
from airflow_conda_flow.runner.main_node import forget_address
from airflow_conda_flow.runner.record_reader import RecordReader
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult

if TYPE_CHECKING:
    from airflow.sdk import Context

    _Mixed = StepTask
else:
    # Airflow's metaclass gives every operator class an __init__. With StepTask as its base, that of GangTask
    # would hide the one of the operator that it is mixed into.
    _Mixed = object


class GangTask(_Mixed):
    """Mixin for the operator of a single step that makes it run all nodes of a ``num_parallel``.

    ``indices`` is the index path of the whole gang, without the number of a node.
    """

    def compute(self, context: Context, requests: Sequence[TaskRequest], run: RunContext) -> Compute:
        """Compute that runs the nodes.

        Args:
            context: Airflow's context of the task.
            requests: one request per node.
            run: the values that the nodes share.
        """
        raise NotImplementedError

    def index_path(self) -> tuple[int, ...]:
        """Index path of node 0, the main node."""
        return (*self.indices, 0)

    def run_nodes(self, context: Context) -> None:
        """Run the next attempt of all nodes at the same time; if one fails, the others are ended.

        Raises:
            AirflowException: a node failed.
        """
        # Not created in __init__: Airflow copies operators, and an Event has a lock, which cannot be copied.
        self._cancel = threading.Event()
        try:
            results = self._results(context, self._cancel)
        except CondaFlowError as error:
            raise as_airflow_error(error) from None
        self._name_split(context, results[0].record.split_name)
        failed = [each for each in results if not each.ok]
        if failed:
            # Report a node that failed by itself before one that was only ended because of it.
            self._fail(min(failed, key=lambda each: each.cancelled))

    def _results(self, context: Context, cancel: threading.Event) -> list[TaskResult]:
        request, datastore, environments = self.open(context)
        record = recorded_run(request)
        opener = record.graph.steps[self.step].split_parents[-1]
        before = RecordReader(datastore.storage, request.flow, request.run_id)(opener, tuple(self.indices))
        if before is None or before.num_splits is None:
            raise AirflowException(f"Step {self.step} cannot start: step {opener} has not finished.")
        requests = [replace(request, indices=(*self.indices, node)) for node in range(before.num_splits)]
        run = RunContext(record, datastore, environments, airflow_settings(), code_dir=None)
        compute = self.compute(context, requests, run)
        forget_address(datastore.storage, request)
        return run_together([partial(self._run_node, compute, run, each) for each in requests], cancel)

    def _run_node(
        self, compute: Compute, run: RunContext, request: TaskRequest, stop: threading.Event
    ) -> TaskResult:
        node = request.indices[-1]

        def line(text: str) -> None:
            self.log.info("[node %d] %s", node, text)

        result = compute.run(
            request,
            output=lambda _stream, text: line(text),
            on_start=lambda what: line(f"Starts as {what}."),
            cancel=stop,
        )
        if result.ok or result.cancelled:
            return result
        result = caught_outside(request, run.run, run.datastore, result, line)
        if not result.ok:
            line("Failed; the other nodes are ended.")
        return result

    def _name_split(self, context: Context, name: str | None) -> None:
        outer = (name or "").rpartition(" / ")[0]
        super()._name_split(context, outer or None)


class GangOperator(GangTask, StepOperator):
    """Operator that runs the nodes of a step as processes on one worker."""

    def execute(self, context: Context) -> None:
        """Run the next attempt of every node."""
        self.run_nodes(context)

    def compute(self, context: Context, requests: Sequence[TaskRequest], run: RunContext) -> Compute:
        """Compute that runs the nodes on this worker, with Airflow's secrets."""
        del context, requests
        return LocalProcess(run, airflow_keepers(run.settings))
