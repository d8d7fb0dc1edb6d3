"""Base class of the operators that run a step in any place, and the operator for local steps."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias, BaseOperator, BaseOperatorLink
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType

from airflow_conda_flow.airflow.configuration import airflow_settings, open_stores
from airflow_conda_flow.airflow.failures import as_airflow_error
from airflow_conda_flow.airflow.identity import attempt_of, first_attempt_of, flow_run_id, state_name
from airflow_conda_flow.airflow.manifest_digests import KEY as MANIFESTS_KEY
from airflow_conda_flow.airflow.manifest_digests import compared_inputs, manifest_digests
from airflow_conda_flow.airflow.operators.log_progress import LogProgress
from airflow_conda_flow.airflow.operators.revision import record_that_counts, wait_for
from airflow_conda_flow.airflow.operators.secret_keepers import airflow_keepers
from airflow_conda_flow.airflow.sdk import AirflowException, AirflowFailException, AirflowSkipException
from airflow_conda_flow.airflow.step_end import SKIP_KEY, StepEnd, failure_text, skipped_value
from airflow_conda_flow.airflow.ui.card_link import card_links
from airflow_conda_flow.compute.remote_attempt import End, conclude
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.datastore.manifests import read_attempt, read_run_manifest
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.errors import CondaFlowError, TaskFailed
from airflow_conda_flow.records.lineage import is_taken
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.task_record import TaskRecord
from airflow_conda_flow.runner.attempt import run_attempt
from airflow_conda_flow.runner.attempt_record import as_exception
from airflow_conda_flow.runner.record_reader import RecordReader
from airflow_conda_flow.runner.task_inputs import inputs_sha256
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult
from airflow_conda_flow.settings.loading import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_conda_flow.airflow.dag.facts import Facts


def check_width(what: str, num_splits: int) -> None:
    """Raise ``AirflowFailException`` if there are more splits than Airflow maps a task over."""
    # Checked here, because Airflow itself would fail the task later, when it pushes its XCom.
    from airflow_conda_flow.airflow.sdk import conf  # noqa: PLC0415 - reads the configuration

    most = conf.getint("core", "max_map_length", fallback=1024)
    if num_splits > most:
        raise AirflowFailException(
            f"{what} has {num_splits} splits, and Airflow maps a task over {most} at most. Set "
            f"[core] max_map_length, or AIRFLOW__CORE__MAX_MAP_LENGTH, to {num_splits} or more, for the "
            "API server too."
        )


_RUNNING = ("running", "restarting")
"""States of a task that nobody has marked or cleared."""
SHUT_DOWN = End("The worker was shut down before the step ended.", is_lost=True)
"""End of a process on a worker that was shut down while Airflow still counts its task as running."""


@dataclass(frozen=True)
class Try:
    """One try of a task by Airflow, and what the datastore knows of the tries before it.

    Airflow counts tries; the flow's author counts failures of the step (``@retry``). A try whose worker, pod
    or job was lost is none of these, and one that finds the task done needs no attempt at all.

    Attributes:
        request: the attempt that this try runs if no earlier one is done or still runs.
        run: the run's record.
        datastore: the datastore of the settings.
        environments: the environments of this machine.
        settings: the settings in force.
        first: number of the first attempt since the task was last cleared.
        records: records of the attempts since then, oldest first.
        user_retries: how many failures of the step are followed by another attempt.
        ends_here: True if Airflow does not try again, whatever the failure is.
    """

    request: TaskRequest
    run: RunRecord
    datastore: Datastore
    environments: Environments
    settings: Settings
    first: int
    records: tuple[TaskRecord, ...]
    user_retries: int
    ends_here: bool

    @property
    def newest(self) -> TaskRecord | None:
        """Newest record of an attempt; None if there is none."""
        return self.records[-1] if self.records else None

    @property
    def is_used_up(self) -> bool:
        """True if the step has failed as often as it may: Airflow has missed the last failure."""
        return sum(map(_is_failure, self.records)) > self.user_retries

    @property
    def done(self) -> TaskResult | None:
        """Result of an earlier try that finished the task, though Airflow was not told; else None."""
        if self.newest is None or not self.newest.is_done:
            return None
        return TaskResult(ok=True, record=self.newest, exception=self.newest.exception)

    @property
    def is_cleared(self) -> bool:
        """True if a person has cleared the task since the run began."""
        return self.first > self.run.first_attempt

    def by(self, run: RunRecord) -> Try:
        """The same by another record of the run."""
        return replace(self, run=run, request=replace(self.request, run=run, run_sha256=run.sha256))

    def at(self, attempt: int) -> Try:
        """The same for this attempt, which an earlier try may have started."""
        failures = sum(_is_failure(record) for record in self.records if record.attempt < attempt)
        is_last = failures >= self.user_retries
        return replace(self, request=replace(self.request, attempt=attempt, is_last=is_last))


def _is_failure(record: TaskRecord) -> bool:
    """True if the step itself has failed in the attempt."""
    return not record.is_done and not record.is_lost


def _why_again(record: TaskRecord) -> str:
    """How an attempt ended that another one follows."""
    what = "was lost" if record.is_lost else "failed"
    exception = record.exception
    reason = "" if exception is None else f": {exception['type']}: {exception['message']}"
    return f"attempt {record.attempt} {what}{reason}"


class StepTask(BaseOperator):
    """Base of the operators of a step: finds the attempt to run, and translates its result for Airflow.

    Args:
        flow: the flow's name.
        step: the step's name.
        kind: kind of the step's node in the graph, such as ``foreach``.
        decorators: the step's decorators: attributes by decorator name.
        indices: index path of the task; mapped inside a foreach.
        left_out: for a switch: the tasks to skip, by the step that was chosen.
        prepare: id of the task that prepares the run, and returns the digest of its record; None compares
            nothing.
        user_retries: how many failures of the step are followed by another attempt. Airflow's ``retries`` is
            larger: it also counts tries that the infrastructure has lost.
        facts: what Airflow shows of the step among the rendered fields.
        end_asset: for the last step: name of the asset that is updated if a DAG refers to it.
        kwargs: keywords of the operator that it is mixed into.
    """

    # Replaces the template fields of the operators that this is mixed into: their values are computed from
    # the step and the settings when the task runs, and Airflow would render them as templates before.
    template_fields: Sequence[str] = ("indices", "facts")

    def __init__(
        self,
        *,
        flow: str,
        step: str,
        kind: str,
        decorators: Mapping[str, Any],
        indices: Sequence[int] = (),
        left_out: Mapping[str, Sequence[str]] = MappingProxyType({}),
        prepare: str | None = None,
        user_retries: int = 0,
        facts: Facts | None = None,
        end_asset: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flow = flow
        self.step = step
        self.kind = kind
        self.decorators = decorators
        self.indices = indices
        self.left_out = dict(left_out)  # Airflow 3.0 copies operators, and a mapping proxy cannot be copied
        self.prepare = prepare
        self.user_retries = user_retries
        self.facts = facts
        self.end_asset = end_asset
        self._cancel: threading.Event | None = None

    def _links(self) -> tuple[BaseOperatorLink, ...]:
        # For a mapped task Airflow reads this property on the MappedOperator, which has only partial_kwargs.
        partial = getattr(self, "partial_kwargs", {})
        return card_links(partial.get("decorators") or getattr(self, "decorators", {}))

    operator_extra_links: Any = property(_links, doc="The button that opens the task's cards, if it has any.")

    def index_path(self) -> tuple[int, ...]:
        """Index path of the task."""
        return tuple(self.indices)

    def open(self, context: Context) -> Try:
        """The try that Airflow has started, with the stores of the settings.

        Raises:
            NotAsPrepared: the run's manifest is not the one that the prepare task wrote.
            AirflowSkipException: a switch chose another arm for this task.
            AirflowException: a step before this one has not finished.
        """
        settings = airflow_settings()
        datastore, environments = open_stores(settings, LogProgress(self.log))
        run_id = flow_run_id(self.dag_id, context["run_id"])
        run_sha256 = self._run_sha256(context)
        run = read_run_manifest(datastore.storage, self.flow, run_id, run_sha256)
        self._skip_unless_taken(context, run, RecordReader(datastore.storage, self.flow, run_id))
        ti = context["ti"]
        request = TaskRequest(
            flow=self.flow,
            run_id=run_id,
            step=self.step,
            indices=self.index_path(),
            attempt=attempt_of(ti.try_number, run.first_attempt),
            run=run,
            run_sha256=run_sha256,
            tells=True,
        )
        first = first_attempt_of(ti.max_tries, self.retries or 0, run.first_attempt)
        earlier = self._earlier(datastore, request, first)
        return Try(
            request=request,
            run=run,
            datastore=datastore,
            environments=environments,
            settings=settings,
            first=first,
            records=tuple(earlier),
            user_retries=self.user_retries,
            ends_here=ti.try_number > ti.max_tries,
        ).at(request.attempt)

    def _run_sha256(self, context: Context) -> str | None:
        """Digest of the run's record, as the prepare task returned it through Airflow's database."""
        if self.prepare is None:
            return None
        if context["ti"].max_tries > (self.retries or 0):  # it was cleared; prepare may have been, too
            wait_for(self.prepare, context)
        # map_indexes=None: also a mapped task asks for the value of the one prepare task.
        value = context["ti"].xcom_pull(task_ids=self.prepare, map_indexes=None)
        if value is None and wait_for(self.prepare, context):
            value = context["ti"].xcom_pull(task_ids=self.prepare, map_indexes=None)
        if isinstance(value, dict) and isinstance(value.get("sha256"), str):
            return str(value["sha256"])
        self.log.warning(
            "The task %s has returned no digest of this run, as those of earlier versions: what the "
            "datastore holds of the run is not compared. Clear %s to prepare the run again.",
            self.prepare,
            self.prepare,
        )
        return None

    def begin(self, context: Context) -> Try:
        """The try that Airflow has started, of which nothing runs yet.

        Raises:
            AirflowFailException: the step has failed as often as it may; Airflow had missed the last failure.
            NotAsPrepared: as for ``open``; or a manifest of a task before is not the one that the task wrote.
            AirflowException: as for ``open``.
        """
        tried = self.open(context)
        newest = tried.newest
        if newest is not None and not newest.is_done and tried.is_used_up:
            exception = newest.exception or as_exception(TaskFailed("No reason is known."))
            raise AirflowFailException(failure_text(self.step, exception))
        if tried.done is not None:
            return tried
        if newest is not None:
            self.log.info("Attempt %d, because %s", tried.request.attempt, _why_again(newest))
        return self.with_inputs(context, tried)

    def with_inputs(self, context: Context, tried: Try) -> Try:
        """The try by the run's record that counts for it, and with the digest of its inputs.

        See ``record_that_counts`` and ``compared_inputs``.
        """
        inputs = self._inputs(context, tried, self.index_path())
        run = record_that_counts(self, context, tried, [] if inputs is None else inputs.read)
        if run is not tried.run:
            tried = tried.by(run)
            inputs = self._inputs(context, tried, self.index_path())  # the graph may be another one
        digest = None if inputs is None else inputs_sha256(inputs)
        return replace(tried, request=replace(tried.request, inputs_sha256=digest))

    def inputs_sha256(self, context: Context, tried: Try, indices: tuple[int, ...]) -> str | None:
        """Digest of the inputs of the task at an index path; None without a prepare task to begin with."""
        inputs = self._inputs(context, tried, indices)
        return None if inputs is None else inputs_sha256(inputs)

    def _inputs(self, context: Context, tried: Try, indices: tuple[int, ...]) -> RecordReader | None:
        if self.prepare is None:
            return None
        return compared_inputs(context["ti"], tried.datastore.storage, tried.run, self.step, indices)

    def _earlier(self, datastore: Datastore, request: TaskRequest, first: int) -> list[TaskRecord]:
        """Records of the attempts from ``first`` to that of the request, oldest first."""
        found = [
            read_attempt(datastore.storage, replace(request, attempt=attempt).name)
            for attempt in range(first, request.attempt + 1)
        ]
        return [record for record in found if record is not None]

    def conclude(self, context: Context, tried: Try, result: TaskResult) -> list[list[int]] | None:
        """Report an attempt's result to Airflow; for a foreach, return the index paths of its splits.

        Raises:
            AirflowException: the step failed, and Airflow may try again.
            AirflowFailException: the step failed as often as it may, or its foreach has more splits than
                Airflow maps.
        """
        end = StepEnd.of(tried.request, tried.run, tried.datastore, result, self.log.error, tried.ends_here)
        record = end.result.record
        self.name_split(context, record.split_name)
        if not end.result.ok:
            self._fail(end)
        self._tell_outlets(context, record)
        self.tell_manifests(context, [record])
        if left_out := self.left_out.get(record.chosen or ""):
            context["ti"].xcom_push(SKIP_KEY, skipped_value(left_out))
        return self._splits(record)

    def tell_manifests(self, context: Context, records: Sequence[TaskRecord]) -> None:
        """Tell the tasks after this one what its manifests are."""
        if self.prepare is not None:
            context["ti"].xcom_push(MANIFESTS_KEY, manifest_digests(records))

    def add_outlet(self, context: Context) -> None:
        """Make the asset of the flow's end an outlet of this task if a DAG refers to it.

        Airflow knows an asset as long as a DAG is scheduled by it, or reads or updates it. A DAG file cannot
        see who listens. An asset that every flow declares would be one more entry in Airflow's list for each,
        and would send each last step to a worker.
        """
        if self.end_asset is None or self.outlets:
            return
        asset = Asset.ref(name=self.end_asset)  # by name alone: the DAG that listens may give it another URI
        try:
            context["outlet_events"][asset]
        except AirflowRuntimeError as error:
            if error.error.error is ErrorType.ASSET_NOT_FOUND:
                return
            raise
        self.outlets = [asset]

    def _tell_outlets(self, context: Context, record: TaskRecord) -> None:
        """Add the names of the run and its last task to the asset event of a finished flow."""
        self.add_outlet(context)
        names: dict[str, Any] = {
            "flow": record.flow,
            "run_id": record.run_id,
            "step": record.step,
            "task_id": record.task_id,
        }
        for outlet in self.outlets:
            event = context["outlet_events"][outlet]
            if isinstance(outlet, AssetAlias):
                event.add(Asset(outlet.name), extra=names)
            else:
                event.extra.update(names)

    def _skip_unless_taken(self, context: Context, run: RunRecord, record_of: RecordReader) -> None:
        try:
            taken = is_taken(run.graph, self.step, self.index_path(), record_of)
        except LookupError as error:
            raise AirflowException(f"Step {self.step} cannot start: {error}") from error
        if not taken:
            self.name_split(context, None)
            raise AirflowSkipException(f"A switch before step {self.step} chose another way.")

    def _fail(self, end: StepEnd) -> None:
        exception = end.result.exception or as_exception(TaskFailed("No reason is known."))
        if not end.result.reported and not end.is_ours:
            for line in exception["traceback"].splitlines():
                self.log.error("%s", line)
        kind = AirflowException if end.may_retry else AirflowFailException
        raise kind(failure_text(self.step, exception))

    def is_still_wanted(self, context: Context) -> bool:
        """True if Airflow counts the task as running, although this process was told to end.

        A worker that is shut down sends the same signal as a person who marks or clears the task. Only in the
        second case has the task's state changed.
        """
        ti: Any = context["ti"]
        try:
            states = ti.get_task_states(
                dag_id=self.dag_id,
                task_ids=[self.task_id],
                map_index=ti.map_index,
                run_ids=[context["run_id"]],
            )
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises: this process ends
            self.log.info("Airflow does not say whether the task still runs: %s", error)
            return True
        state = states.get(context["run_id"], {}).get(state_name(self.task_id, ti.map_index))
        return state in _RUNNING

    def name_split(self, context: Context, name: str | None) -> None:
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


class StepOperator(StepTask):
    """Operator that runs one step of a flow as a process on the worker."""

    ui_color = "#dce9f5"

    def execute(self, context: Context) -> list[list[int]] | None:
        """Run the step's next attempt; for a foreach, return the index paths of its splits."""
        # Not created in __init__: Airflow copies operators, and an Event has a lock, which cannot be copied.
        self._cancel = threading.Event()
        try:
            tried = self.begin(context)
            result = tried.done or run_attempt(
                replace(tried.request, python=sys.executable),
                tried.datastore,
                tried.environments,
                output=lambda _stream, line: self.log.info("%s", line),
                cancel=self._cancel,
                keepers=airflow_keepers(tried.settings),
            )
            if result.cancelled and self.is_still_wanted(context):
                result = conclude(tried.datastore.storage, tried.request, SHUT_DOWN)
            return self.conclude(context, tried, result)
        except CondaFlowError as error:
            raise as_airflow_error(error) from None

    def on_kill(self) -> None:
        """End the step's process and its children."""
        if self._cancel is not None:
            self._cancel.set()
