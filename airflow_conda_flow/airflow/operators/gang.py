"""Operators that run the nodes of a ``num_parallel`` as one Airflow task: they start, fail and retry as one.

Mapped tasks would start one by one as slots become free, so nodes that wait for each other could wait for
ever. One task needs one slot, and also runs under ``airflow dags test``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from airflow_conda_flow.airflow.operators.secret_keepers import airflow_keepers
from airflow_conda_flow.airflow.operators.step import SHUT_DOWN, StepOperator, StepTask
from airflow_conda_flow.airflow.operators.tries import Try
from airflow_conda_flow.airflow.sdk import AirflowException
from airflow_conda_flow.airflow.step_end import StepEnd
from airflow_conda_flow.compute.compute import Compute, RunContext
from airflow_conda_flow.compute.gang import run_together
from airflow_conda_flow.compute.local.process import LocalProcess
from airflow_conda_flow.compute.remote_attempt import conclude
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.datastore.manifests import list_tasks, read_attempt
from airflow_conda_flow.records.names import TaskName
from airflow_conda_flow.records.task_record import TaskRecord
from airflow_conda_flow.runner.main_node import forget_address, new_gang_key
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

    ``indices`` is the index path of the whole gang, without the number of a node; in a block, those of gangs.
    """

    def compute(
        self, context: Context, requests: Sequence[TaskRequest], tried: Try, run: RunContext
    ) -> Compute:
        """Compute that runs the nodes.

        Args:
            context: Airflow's context of the task.
            requests: one request per node.
            tried: the try that Airflow has started.
            run: the values that the nodes share.
        """
        raise NotImplementedError

    def index_path(self) -> tuple[int, ...]:
        """Index path of node 0, the main node."""
        return (*super().index_path(), 0)

    def run_one(self, context: Context) -> None:
        """Run the next attempt of all nodes at the same time; if one fails, the others are ended.

        Raises:
            AirflowException: a node failed.
        """
        cancel = self.begin_cancellable(context)
        tried = self.begin(context)
        results = self.ends(context, tried, cancel, partial(self.is_still_wanted, context))
        self.name_split(context, results[0].result.record.split_name)
        failed = [each for each in results if not each.ok]
        if failed:
            # Report a node that failed by itself before one that was only ended because of it.
            self._fail(min(failed, key=lambda each: each.result.cancelled))
        self.tell_manifests(context, [each.result.record for each in results])

    def ends(
        self, context: Context, tried: Try, cancel: threading.Event, is_shut_down: Callable[[], bool]
    ) -> list[StepEnd]:
        """How the nodes of the attempt ended; those of an earlier attempt if it has finished all of them."""
        requests = self._requests(context, tried)
        done = self._done_already(tried, requests)
        if done:
            return done
        results = self._results(context, tried, requests, cancel)
        if cancel.is_set() and is_shut_down():
            return [self._shut_down(tried, *each) for each in zip(requests, results, strict=True)]
        return results

    def _shut_down(self, tried: Try, request: TaskRequest, end: StepEnd) -> StepEnd:
        """End of a node whose worker was shut down: lost, unless it had ended by itself."""
        if not end.result.cancelled:
            return end
        result = conclude(tried.datastore.storage, request, SHUT_DOWN)
        return self.end_of(tried, request, result)

    def _records(self, datastore: Datastore, request: TaskRequest, attempts: range) -> list[TaskRecord]:
        """Records of attempts: of node 0, or of a node that was lost and so ended the others."""
        return [
            record if record.is_done else self._lost_node(datastore, record) or record
            for record in super()._records(datastore, request, attempts)
        ]

    def _lost_node(self, datastore: Datastore, main: TaskRecord) -> TaskRecord | None:
        name = main.task
        for node in range(1, len(list_tasks(datastore.storage, name.flow, name.run_id, name.step))):
            task = TaskName.at(name.flow, name.run_id, name.step, (*self.indices, node))
            record = read_attempt(datastore.storage, task.attempt(main.attempt))
            if record is not None and record.is_lost:
                return record
        return None

    def _requests(self, context: Context, tried: Try) -> list[TaskRequest]:
        """Requests of all nodes.

        Raises:
            NotAsPrepared: a manifest of a task before is not the one that the task wrote.
            AirflowException: the step before has not finished.
        """
        opener = tried.run.graph.steps[self.step].split_parents[-1]
        reader = RecordReader(tried.datastore.storage, tried.request.flow, tried.request.run_id)
        before = reader(opener, tuple(self.indices))
        if before is None or before.num_splits is None:
            raise AirflowException(f"Step {self.step} cannot start: step {opener} has not finished.")
        paths = [(*self.indices, node) for node in range(before.num_splits)]
        key = new_gang_key()
        return [
            replace(
                tried.request,
                indices=path,
                inputs_sha256=self.inputs_sha256(context, tried, path),
                gang_key=key,
            )
            for path in paths
        ]

    def _done_already(self, tried: Try, requests: Sequence[TaskRequest]) -> list[StepEnd]:
        """Ends of the nodes if an earlier try has finished all of them; else none."""
        if tried.newest is None or not tried.newest.is_done:
            return []
        records = [
            read_attempt(tried.datastore.storage, replace(each, attempt=tried.newest.attempt).name)
            for each in requests
        ]
        if not all(record is not None and record.is_done for record in records):
            return []
        return [StepEnd(TaskResult(ok=True, record=each), may_retry=False) for each in records if each]

    def _results(
        self, context: Context, tried: Try, requests: Sequence[TaskRequest], cancel: threading.Event
    ) -> list[StepEnd]:
        run = RunContext(
            tried.run,
            tried.datastore,
            tried.environments,
            tried.settings,
            sources=None,
            fork_servers=self.fork_servers,
        )
        compute = self.compute(context, requests, tried, run)
        forget_address(tried.datastore.storage, tried.request)
        return run_together([partial(self._run_node, compute, tried, each) for each in requests], cancel)

    def _run_node(self, compute: Compute, tried: Try, request: TaskRequest, stop: threading.Event) -> StepEnd:
        node = request.indices[-1]

        def line(text: str) -> None:
            self.log.info("[node %d] %s", node, text)

        result = compute.run(
            request,
            output=lambda _stream, text: line(text),
            on_start=lambda what: line(f"Starts as {what}."),
            cancel=stop,
        )
        end = StepEnd.of(request, tried.run, tried.datastore, result, line, tried.ends_here)
        if not end.ok and not result.cancelled:
            line("Failed; the other nodes are ended.")
        return end

    def name_split(self, context: Context, name: str | None) -> None:
        """Set the name of a mapped gang in Airflow's UI: that of the split around it."""
        outer = (name or "").rpartition(" / ")[0]
        super().name_split(context, outer or None)


class GangOperator(GangTask, StepOperator):
    """Operator that runs the nodes of a step as processes on one worker."""

    def compute(
        self, context: Context, requests: Sequence[TaskRequest], tried: Try, run: RunContext
    ) -> Compute:
        """Compute that runs the nodes on this worker, with Airflow's secrets."""
        del context, requests, tried
        return LocalProcess(run, airflow_keepers(run.settings))
