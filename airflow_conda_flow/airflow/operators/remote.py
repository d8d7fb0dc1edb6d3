"""The course of a remote step under Airflow: find or start it, follow it, hand it over, conclude it.

    worker: manifest? pod or job of an earlier try? else start one; follow it for some seconds
      └─ triggerer: follow it to its end, conclude the attempt, and end the task
           └─ worker again, only where the triggerer cannot end the task

The second half on a worker reads the manifest and nothing else. It may be called too early for the scheduler,
which then takes the end of the first half for that of the second, and fails the try
(https://github.com/apache/airflow/issues/67287, 71580). That does no harm: the next try finds the manifest.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_conda_flow.airflow.failures import as_airflow_error
from airflow_conda_flow.airflow.operators.deferral import defers, worker_seconds
from airflow_conda_flow.airflow.operators.rendered_name import set_rendered_name
from airflow_conda_flow.airflow.operators.revision import by_its_record
from airflow_conda_flow.airflow.operators.step import StepTask
from airflow_conda_flow.airflow.operators.tries import Try
from airflow_conda_flow.airflow.sdk import AirflowException
from airflow_conda_flow.airflow.triggers.step import StepTrigger, TriggerTask
from airflow_conda_flow.compute.remote_attempt import End, RemoteTask, check_told, conclude, is_done
from airflow_conda_flow.errors import ComputeForbidden, ComputeUnavailable, CondaFlowError
from airflow_conda_flow.runner.record_reader import RecordReader
from airflow_conda_flow.runner.task_inputs import gather_inputs
from airflow_conda_flow.runner.task_request import TaskResult

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_conda_flow.settings.loading import Settings

# Airflow's own timeout of a deferred task fails it without any code of ours. It must come after the trigger's
# deadline, which ends the pod or job.
_DEADLINE_SLACK = timedelta(seconds=120)


class RemoteStepTask(StepTask):
    """Base of the operators of steps that run as pods or jobs.

    Attributes:
        watch: function, as ``module:name``, that makes the triggerer's ``Watched`` from ``hand_over()`` and
            ``watch_arguments``.
    """

    watch: ClassVar[str]
    is_remote = True

    def task_left(self, context: Context, tried: Try) -> tuple[RemoteTask, int] | None:
        """Pod or job of an earlier try that still runs, with the number of its attempt; else None."""
        raise NotImplementedError

    def new_task(self, context: Context, tried: Try) -> RemoteTask:
        """Pod or job for the attempt of this try, not started yet."""
        raise NotImplementedError

    def connect(self, settings: Settings) -> None:
        """Apply the settings in force to the operator's connection to the cluster."""
        raise NotImplementedError

    def watch_arguments(self, tried: Try) -> dict[str, Any]:
        """Arguments with which the triggerer reaches the cluster, as JSON, without any secret."""
        raise NotImplementedError

    def run_one(self, context: Context) -> Any:
        """Run the step's next attempt in a pod or job, or wait for the one that runs the step already."""
        tried = self.begin(context)
        if tried.done is not None:
            self.log.info("The step is done already; only Airflow did not know.")
            return self.conclude(context, tried, tried.done)
        cancel = self.begin_cancellable(context)
        is_shut_down = partial(self.is_still_wanted, context)
        tried, result = self._attempt(context, tried, cancel, is_shut_down, defer=True)
        return self.conclude(context, tried, result)

    def attempt(
        self, context: Context, tried: Try, cancel: threading.Event, is_shut_down: Callable[[], bool]
    ) -> tuple[Try, TaskResult]:
        """Run the attempt in a pod or job, and wait for it here."""
        return self._attempt(context, tried, cancel, is_shut_down, defer=False)

    def conclude_deferred(self, context: Context, event: Any = None) -> Any:
        """Conclude the attempt that the triggerer has followed to its end.

        Args:
            context: Airflow's context of the task.
            event: what the trigger says: a ``problem``, the try's number, and the digest of the attempt's
                manifest. Airflow 3.0 repeats it in the next try, which begins anew.

        Raises:
            AirflowException: the step failed, or the triggerer lost contact with the cluster.
        """
        event = event if isinstance(event, dict) else {}
        if event.get("try_number") not in {None, context["ti"].try_number}:
            return self.execute(context)
        try:
            tried = self.open(context, has_run=True)
            record = tried.newest
            problem = event.get("problem")
            if record is None or (problem and not record.is_done):
                # Airflow tries again, and the next try finds the pod or job by its labels.
                raise AirflowException(problem or f"Step {self.step} has left no result.")
            check_told(tried.datastore.storage, record, event.get("manifest"))
            tried = by_its_record(tried.at(record.attempt), record)
            result = TaskResult(record.is_done, record, record.exception, reported=True)
            return self.conclude(context, tried, result)
        except CondaFlowError as error:
            raise as_airflow_error(error) from None

    def _left_or_new(self, context: Context, tried: Try) -> tuple[Try, RemoteTask, bool]:
        """The pod or job that runs the step already, with the try of its attempt; or a new one, and True."""
        self.connect(tried.settings)
        found = self.task_left(context, tried)
        if found is None:
            return tried, self.new_task(context, tried), True
        task, attempt = found
        self.log.info("%s runs this step already; waiting for it.", task.title.capitalize())
        return tried.at(attempt), task, False

    def _attempt(
        self,
        context: Context,
        tried: Try,
        cancel: threading.Event,
        is_shut_down: Callable[[], bool],
        *,
        defer: bool,
    ) -> tuple[Try, TaskResult]:
        tried, task, is_new = self._left_or_new(context, tried)
        request, storage = tried.request, tried.datastore.storage
        keep = False  # the pod or job, although this process leaves it
        has_run = not is_new

        def done() -> bool:
            return is_done(storage, request)

        try:
            if is_new:
                task.start()
                has_run = True
                self.log.info("The step runs as %s.", task.title)
            if defer:
                task.follow(cancel, done, worker_seconds(tried.settings))
                if not task.is_over and not cancel.is_set() and (keep := defers(tried.settings)):
                    # _defer raises TaskDeferred, which leaves this function; the pod survives the finally.
                    self._defer(context, tried, task)
            if not task.is_over and not cancel.is_set():
                task.follow(cancel, done)
            if cancel.is_set() and not task.is_over:
                keep = is_shut_down()
                _let_go(task, keep=keep)
            end = task.end()
        except ComputeUnavailable as error:
            if not (has_run and done()):
                # For the next try, which finds it by its labels; without the right to look there is none.
                keep = not tried.ends_here and not isinstance(error, ComputeForbidden)
                raise
            end = End(None)
        finally:
            if not keep:
                task.remove(wait=False)
        return tried, conclude(storage, request, end, cancelled=cancel.is_set())

    def _defer(self, context: Context, tried: Try, task: RemoteTask) -> None:
        self._show_split_name(context, tried)
        self.add_outlet(context)  # events of outlets need a worker at the end
        end_at: float | None = None
        timeout: timedelta | None = None
        if self.execution_timeout is not None:
            started = context["ti"].start_date
            begun = time.time() if started is None else started.timestamp()
            end_at = begun + self.execution_timeout.total_seconds()
            timeout = timedelta(seconds=max(0.0, end_at - time.time())) + _DEADLINE_SLACK
        self.defer(
            trigger=StepTrigger(
                request=dict(tried.request.to_dict()),
                settings=tried.settings.given(),
                watch=self.watch,
                state={**task.hand_over(), **self.watch_arguments(tried)},
                end_at=end_at,
                facts=TriggerTask.of(self, tried.settings, ends_here=tried.ends_here).to_dict(),
            ),
            method_name="conclude_deferred",
            timeout=timeout,
        )

    def _show_split_name(self, context: Context, tried: Try) -> None:
        """Give a mapped task its name now: Airflow takes none from the triggerer."""
        if not self.indices:
            return
        reader = RecordReader(tried.datastore.storage, tried.request.flow, tried.request.run_id)
        inputs = gather_inputs(tried.run, self.step, self.index_path(), reader)
        self.name_split(context, inputs.split_name)
        set_rendered_name(str(context["split_name"]))  # type: ignore[typeddict-item]


def _let_go(task: RemoteTask, *, keep: bool) -> None:
    """Leave a pod or job that still runs, or end it and pass on what the step prints while it ends.

    Airflow kills this process some seconds after it has asked for its end. The container then commits the
    failure without it.

    Args:
        task: the pod or job.
        keep: True if it is left to the next try.

    Raises:
        AirflowException: it is left.
    """
    if keep:
        raise AirflowException(
            f"The worker is shutting down. {task.title.capitalize()} keeps running; the next try waits "
            "for it."
        )
    task.remove(wait=True)
