"""Base class of the operators that run a step on any compute, and the operator for local steps."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    DownstreamTasksSkipped,
)

from airflow_conda_flow.airflow.configuration import airflow_settings, open_stores
from airflow_conda_flow.airflow.failures import as_airflow_error
from airflow_conda_flow.airflow.identity import attempt_of, flow_run_id
from airflow_conda_flow.airflow.operators.log_progress import LogProgress
from airflow_conda_flow.airflow.operators.secret_keepers import airflow_keepers
from airflow_conda_flow.airflow.ui.card_link import card_links
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.datastore.manifests import read_run_manifest
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.errors import CondaFlowError, TaskFailed
from airflow_conda_flow.records.lineage import is_taken
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.task_record import TaskRecord
from airflow_conda_flow.runner.attempt import caught_outside, run_attempt
from airflow_conda_flow.runner.attempt_record import as_exception
from airflow_conda_flow.runner.record_reader import RecordReader
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult

if TYPE_CHECKING:
    from airflow.sdk import Context


def check_width(what: str, num_splits: int) -> None:
    """Raise ``AirflowFailException`` if there are more splits than Airflow maps a task over."""
    # Checked here, because Airflow itself would fail the task later, when it pushes its XCom.
    from airflow.sdk.configuration import conf  # noqa: PLC0415 - reads the configuration

    most = conf.getint("core", "max_map_length", fallback=1024)
    if num_splits > most:
        raise AirflowFailException(
            f"{what} has {num_splits} splits, and Airflow maps a task over {most} at most. Set "
            f"[core] max_map_length, or AIRFLOW__CORE__MAX_MAP_LENGTH, to {num_splits} or more, for the "
            "API server too."
        )


class StepTask(BaseOperator):
    """Base of the operators of a step: finds the attempt to run, and translates its result for Airflow.

    Args:
        flow: the flow's name.
        step: the step's name.
        kind: kind of the step's node in the graph, such as ``foreach``.
        decorators: the step's decorators: attributes by decorator name.
        indices: index path of the task; mapped inside a foreach.
        kwargs: keywords of the operator that it is mixed into.

    Attributes:
        left_out: for a switch outside any foreach: the tasks to skip, by the step that was chosen.
    """

    # Replaces the template fields of the operators that this is mixed into: their values are computed from
    # the step and the settings when the task runs, and Airflow would render them as templates before.
    template_fields: Sequence[str] = ("indices",)
    left_out: Mapping[str, Sequence[str]] = MappingProxyType({})

    def __init__(
        self,
        *,
        flow: str,
        step: str,
        kind: str,
        decorators: Mapping[str, Any],
        indices: Sequence[int] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flow = flow
        self.step = step
        self.kind = kind
        self.decorators = decorators
        self.indices = indices
        self._cancel: threading.Event | None = None

    def _links(self) -> tuple[BaseOperatorLink, ...]:
        # For a mapped task Airflow reads this property on the MappedOperator, which has only partial_kwargs.
        partial = getattr(self, "partial_kwargs", {})
        return card_links(partial.get("decorators") or getattr(self, "decorators", {}))

    operator_extra_links: Any = property(_links, doc="The button that opens the task's cards, if it has any.")

    def index_path(self) -> tuple[int, ...]:
        """Index path of the task."""
        return tuple(self.indices)

    def open(self, context: Context) -> tuple[TaskRequest, Datastore, Environments]:
        """Request of the attempt that belongs to Airflow's current try, and the stores of the settings.

        Raises:
            AirflowSkipException: a switch chose another arm for this task. Inside a foreach the task must
                skip itself, because Airflow cannot skip a single split of a mapped task.
            AirflowException: a step before this one has not finished.
        """
        datastore, environments = open_stores(airflow_settings(), LogProgress(self.log))
        run_id = flow_run_id(self.dag_id, context["run_id"])
        run = read_run_manifest(datastore.storage, self.flow, run_id)
        self._skip_unless_taken(context, run, RecordReader(datastore.storage, self.flow, run_id))
        request = TaskRequest(
            flow=self.flow,
            run_id=run_id,
            step=self.step,
            indices=self.index_path(),
            attempt=attempt_of(context["ti"].try_number, run.first_attempt),
            is_last=context["ti"].try_number > context["ti"].max_tries,
            run=run,
        )
        return request, datastore, environments

    def conclude(self, context: Context, result: TaskResult) -> list[list[int]] | None:
        """Report the attempt's result to Airflow; for a foreach, return the index paths of its splits.

        Raises:
            AirflowException: the step failed.
            AirflowFailException: its foreach has more splits than Airflow maps.
            DownstreamTasksSkipped: the step is done, and its switch did not choose the arms of these tasks.
        """
        if not result.ok and not result.cancelled:
            request, datastore, _ = self.open(context)
            result = caught_outside(request, recorded_run(request), datastore, result, self.log.error)
        record = result.record
        self._name_split(context, record.split_name)
        if not result.ok:
            self._fail(result)
        self._tell_outlets(context, record)
        if left_out := self.left_out.get(record.chosen or ""):
            raise DownstreamTasksSkipped(tasks=list(left_out))  # type: ignore[no-untyped-call]
        return self._splits(record)

    def _tell_outlets(self, context: Context, record: TaskRecord) -> None:
        """Add the names of the run and its last task to the asset event of a finished flow."""
        for asset in self.outlets:
            context["outlet_events"][asset].extra.update(
                flow=record.flow, run_id=record.run_id, step=record.step, task_id=record.task_id
            )

    def _skip_unless_taken(self, context: Context, run: RunRecord, record_of: RecordReader) -> None:
        try:
            taken = is_taken(run.graph, self.step, self.index_path(), record_of)
        except LookupError as error:
            raise AirflowException(f"Step {self.step} cannot start: {error}") from error
        if not taken:
            self._name_split(context, None)
            raise AirflowSkipException(f"A switch before step {self.step} chose another way.")

    def _fail(self, result: TaskResult) -> None:
        exception = result.exception or as_exception(TaskFailed("No reason is known."))
        kind, message = exception["type"], exception["message"]
        if kind == TaskFailed.__name__:  # our own error: its message says everything, without a traceback
            raise AirflowException(f"Step {self.step} failed: {message}")
        if not result.reported:
            for line in exception["traceback"].splitlines():
                self.log.error("%s", line)
        raise AirflowException(f"Step {self.step} failed: {kind}: {message}")

    def _name_split(self, context: Context, name: str | None) -> None:
        """Set the name of a mapped task in Airflow's UI: the name of its split, or else its index path."""
        # map_index_template, in the compiler, reads this key.
        if self.indices:
            name = name or "-".join(str(each) for each in self.indices)
            context["split_name"] = name  # type: ignore[typeddict-unknown-key]

    def _splits(self, record: TaskRecord) -> list[list[int]] | None:
        if record.num_splits is None or self.kind != "foreach":
            return None
        check_width(f"The foreach of step {self.step!r}", record.num_splits)
        return [[*self.indices, index] for index in range(record.num_splits)]


def recorded_run(request: TaskRequest) -> RunRecord:
    """Record of the run, from a request that ``StepTask.open`` made.

    Raises:
        ValueError: the request contains no record.
    """
    if request.run is None:
        raise ValueError(f"The record of run {request.run_id} was not read.")
    return request.run


class StepOperator(StepTask):
    """Operator that runs one step of a flow as a process on the worker."""

    ui_color = "#dce9f5"

    def execute(self, context: Context) -> list[list[int]] | None:
        """Run the step's next attempt; for a foreach, return the index paths of its splits."""
        # Not created in __init__: Airflow copies operators, and an Event has a lock, which cannot be copied.
        self._cancel = threading.Event()
        try:
            request, datastore, environments = self.open(context)
            result = run_attempt(
                replace(request, python=sys.executable),
                datastore,
                environments,
                output=lambda _stream, line: self.log.info("%s", line),
                cancel=self._cancel,
                keepers=airflow_keepers(airflow_settings()),
            )
        except CondaFlowError as error:
            raise as_airflow_error(error) from None
        return self.conclude(context, result)

    def on_kill(self) -> None:
        """End the step's process and its children."""
        if self._cancel is not None:
            self._cancel.set()
