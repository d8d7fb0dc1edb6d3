"""All nodes of a ``num_parallel`` as one task of Airflow: they start, fail and are tried again together.

Mapped tasks would start as Airflow has slots for them, and nodes that wait for one another could wait for
ever; one task needs one slot, and runs under ``airflow dags test`` too.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException

from airflow_conda_flow.airflow.configuration import airflow_settings
from airflow_conda_flow.airflow.failures import as_airflow_error
from airflow_conda_flow.airflow.secret_keepers import airflow_keepers
from airflow_conda_flow.airflow.step_operator import StepOperator, StepTask, recorded_run
from airflow_conda_flow.compute.compute import LOCAL, Compute, RunContext
from airflow_conda_flow.compute.gang import run_together
from airflow_conda_flow.compute.local_process import LocalProcess
from airflow_conda_flow.errors import CondaFlowError
from airflow_conda_flow.runner.attempt import caught_outside
from airflow_conda_flow.runner.main_node import forget_address
from airflow_conda_flow.runner.record_reader import RecordReader
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult

if TYPE_CHECKING:
    from airflow.sdk import Context

    _Mixed = StepTask
else:
    _Mixed = (
        object  # an operator would bring an __init__ of its own before that of the operator it is mixed into
    )


def gang_operator_class(compute: str) -> type[Any]:
    """The operator for the nodes of a step of that compute."""
    if compute == LOCAL:
        return GangOperator
    if compute == "kubernetes":
        from airflow_conda_flow.airflow.kubernetes_gang import (  # noqa: PLC0415 - heavy
            KubernetesGangOperator,
        )

        return KubernetesGangOperator
    if compute == "batch":
        from airflow_conda_flow.airflow.batch_gang import BatchGangOperator  # noqa: PLC0415 - heavy

        return BatchGangOperator
    raise ValueError(f"There is no operator for nodes on {compute}.")


class GangTask(_Mixed):
    """What an operator of nodes does, wherever they run. Mixed into the operator of one step there.

    The index path of the operator is that of the whole gang: without the number of the node.
    """

    def compute(self, context: Context, requests: Sequence[TaskRequest], run: RunContext) -> Compute:
        """Where the nodes run.

        Args:
            context: Airflow's.
            requests: one for each node.
            run: what they have in common.
        """
        raise NotImplementedError

    def index_path(self) -> tuple[int, ...]:
        """That of node 0."""
        return (*self.indices, 0)

    def run_nodes(self, context: Context) -> None:
        """Run the next attempt of every node at once; the first that fails ends the others.

        Raises:
            AirflowException: a node failed.
        """
        # Not made earlier: Airflow copies operators, and a mutex cannot be copied.
        self._cancel = threading.Event()
        try:
            results = self._results(context, self._cancel)
        except CondaFlowError as error:
            raise as_airflow_error(error) from None
        self._name_split(context, results[0].record.split_name)
        failed = [each for each in results if not each.ok]
        if failed:
            self._fail(min(failed, key=lambda each: each.cancelled))  # those that were ended are not to blame

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
    """Runs the nodes of a step as processes on one worker."""

    def execute(self, context: Context) -> None:
        """Run the next attempt of every node."""
        self.run_nodes(context)

    def compute(self, context: Context, requests: Sequence[TaskRequest], run: RunContext) -> Compute:
        """This worker, with Airflow's secrets."""
        del context, requests
        return LocalProcess(run, airflow_keepers(run.settings))
