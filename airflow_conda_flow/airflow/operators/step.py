"""Base class of the operators that run a step in any place, and the operator for local steps."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias, BaseOperator, BaseOperatorLink
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType

from airflow_conda_flow.airflow.block_settings import sharing
from airflow_conda_flow.airflow.configuration import airflow_settings, open_stores
from airflow_conda_flow.airflow.failures import as_airflow_error
from airflow_conda_flow.airflow.identity import attempt_of, first_attempt_of, flow_run_id, state_name
from airflow_conda_flow.airflow.manifest_digests import KEY as MANIFESTS_KEY
from airflow_conda_flow.airflow.manifest_digests import compare, compared_inputs, manifest_digests
from airflow_conda_flow.airflow.operators.block import run_block
from airflow_conda_flow.airflow.operators.ending import Ending
from airflow_conda_flow.airflow.operators.log_progress import LogProgress
from airflow_conda_flow.airflow.operators.revision import record_that_counts, wait_for
from airflow_conda_flow.airflow.operators.secret_keepers import airflow_keepers
from airflow_conda_flow.airflow.operators.tries import Opened, Try, why_again
from airflow_conda_flow.airflow.sdk import AirflowException, AirflowFailException, AirflowSkipException
from airflow_conda_flow.airflow.splits import (
    Path,
    as_block,
    is_block,
    mapped_over,
    path_text,
    paths_of,
    split_range,
)
from airflow_conda_flow.airflow.step_end import SKIP_KEY, StepEnd, failure_text, skipped_value
from airflow_conda_flow.airflow.ui.card_link import card_links
from airflow_conda_flow.compute.remote_attempt import End, conclude
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.datastore.manifests import read_attempt, read_run_manifest
from airflow_conda_flow.errors import CondaFlowError, TaskFailed
from airflow_conda_flow.records.lineage import is_taken
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.task_record import TaskRecord
from airflow_conda_flow.runner.attempt import run_attempt
from airflow_conda_flow.runner.attempt_record import as_exception
from airflow_conda_flow.runner.fork_servers import ForkServers
from airflow_conda_flow.runner.record_reader import RecordReader
from airflow_conda_flow.runner.signals import outside_handler
from airflow_conda_flow.runner.task_inputs import inputs_sha256
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult
from airflow_conda_flow.settings.loading import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_conda_flow.airflow.dag.facts import Facts
    from airflow_conda_flow.airflow.operators.prepare import PrepareOperator
    from airflow_conda_flow.datastore.storage import Storage
    from airflow_conda_flow.records.shapes import ExceptionRecord


_CALLBACKS = frozenset(
    f"on_{event}_callback" for event in ("execute", "failure", "retry", "skipped", "success")
)
_RUNNING = ("running", "restarting")
"""States of a task that nobody has marked or cleared."""
SHUT_DOWN = End("The worker was shut down before the step ended.", is_lost=True)
"""End of a process on a worker that was shut down while Airflow still counts its task as running."""


class StepTask(BaseOperator):
    """Base of the operators of a step: finds the attempt to run, and translates its result for Airflow.

    Args:
        flow: the flow's name.
        step: the step's name.
        kind: kind of the step's node in the graph, such as ``foreach``.
        decorators: the step's decorators: attributes by decorator name.
        indices: index path of the task, or a block of them (see ``airflow.splits``); mapped inside a foreach.
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

    is_remote = False
    """True if the step runs on another machine, so that a worker waits for many of them without effort."""
    tells = True
    """True if attempts print lines about themselves; those of a block's splits would drown the others."""
    fork_servers: ForkServers | None = None
    """The fork servers that may start the step processes of a block's splits."""

    def __init__(
        self,
        *,
        flow: str,
        step: str,
        kind: str,
        decorators: Mapping[str, Any],
        indices: Any = (),
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
        self._ending: Ending | None = None
        if is_block(indices) and self.execution_timeout is not None:
            # The limit is for one split, and the splits of a block may run one after the other.
            self.execution_timeout *= len(paths_of(indices))

    def __setattr__(self, key: str, value: Any) -> None:
        """Set an attribute; a single callback becomes a list, as it does as an argument of an operator."""
        # Airflow iterates over the attribute at the task's end, and fails there if it is a function.
        super().__setattr__(key, [value] if key in _CALLBACKS and callable(value) else value)

    split_log: Any = None
    """Logger of one split of a block, which says the split's index path; None for a task of its own."""

    @property
    def log(self) -> Any:
        """Logger of the task."""
        # Airflow keeps an operator's logger under a name that differs between its versions.
        return super().log if self.split_log is None else self.split_log

    def _links(self) -> tuple[BaseOperatorLink, ...]:
        # For a mapped task Airflow reads this property on the MappedOperator, which has only partial_kwargs.
        partial = getattr(self, "partial_kwargs", {})
        return card_links(partial.get("decorators") or getattr(self, "decorators", {}))

    operator_extra_links: Any = property(_links, doc="The button that opens the task's cards, if it has any.")

    def index_path(self) -> tuple[int, ...]:
        """Index path of the task; of a block, that of its first split."""
        return paths_of(self.indices)[0]

    def execute(self, context: Context) -> Any:
        """Run the next attempt of the step, or of every split of a block that is not done.

        Returns:
            for a foreach, the splits that Airflow maps the next step over.
        """
        try:
            return run_block(self, context) if is_block(self.indices) else self.run_one(context)
        except CondaFlowError as error:
            raise as_airflow_error(error) from None
        finally:
            if self._ending is not None:
                self._ending.close()

    def run_one(self, context: Context) -> Any:
        """Run the step's next attempt; returns the same as ``execute``."""
        raise NotImplementedError

    def ends(
        self, context: Context, tried: Try, cancel: threading.Event, is_shut_down: Callable[[], bool]
    ) -> list[StepEnd]:
        """Run an attempt in the calling thread, and return how it ended; several for a ``num_parallel``.

        Args:
            context: Airflow's context of the task.
            tried: the try.
            cancel: when set, the attempt is ended early.
            is_shut_down: says, once ``cancel`` is set, if the cause is the worker and not a person.
        """
        if tried.done is not None:
            return [StepEnd(tried.done, may_retry=False)]
        tried, result = self.attempt(context, tried, cancel, is_shut_down)
        return [self.end_of(tried, tried.request, result)]

    def attempt(
        self, context: Context, tried: Try, cancel: threading.Event, is_shut_down: Callable[[], bool]
    ) -> tuple[Try, TaskResult]:
        """Run an attempt of a single task; returns its result, and the try of the attempt that ended."""
        raise NotImplementedError

    def end_of(self, tried: Try, request: TaskRequest, result: TaskResult) -> StepEnd:
        """How an attempt ends for Airflow."""
        return StepEnd.of(request, tried.run, tried.datastore, result, self.log.error, tried.ends_here)

    def share(self, opened: Opened) -> None:
        """Make what all splits of a block need, before this operator is copied for each of them."""

    def begin_cancellable(self, context: Context) -> threading.Event:
        """Event that ``on_kill`` sets from now on."""
        run_id = flow_run_id(self.dag_id, context["run_id"])
        # Not created in __init__: Airflow copies operators, and an Event has a lock, which cannot be copied.
        # A process on the worker ends with this one, and then nobody stores what it prints.
        self._ending = Ending(self.log.info if self.is_remote else None, f"{run_id}/{self.step}")
        return self._ending.cancel

    def on_kill(self) -> None:
        """End the step: its process, pod or job. A remote one stays if the worker is shut down."""
        # Called in a signal handler: the thread that it interrupts may be waiting for an answer of Airflow's,
        # so nothing can be asked here.
        if self._ending is not None:
            outside_handler(self._ending.ask)

    def opened(self, context: Context) -> Opened:
        """The run of this task, with the stores of the settings.

        Raises:
            NotAsPrepared: the run's manifest is not the one that the prepare task wrote.
        """
        settings = airflow_settings()
        datastore, environments = open_stores(settings, LogProgress(self.log))
        run_id = flow_run_id(self.dag_id, context["run_id"])
        run_sha256 = self._run_sha256(context)
        run = read_run_manifest(datastore.storage, self.flow, run_id, run_sha256)
        return Opened(run, run_sha256, datastore, environments, settings)

    def open(
        self,
        context: Context,
        opened: Opened | None = None,
        first: int | None = None,
        *,
        has_run: bool = False,
    ) -> Try:
        """The try that Airflow has started.

        Args:
            context: Airflow's context of the task.
            opened: the run; None opens it.
            first: number of the first attempt that counts; None for those since the task was last cleared.
            has_run: True if the attempt of this try has run. Else a record of it is another's, who may write
                the datastore, and does not count.

        Raises:
            NotAsPrepared: as for ``opened``; or the manifest of a switch is not the one that it wrote.
            AirflowSkipException: a switch chose another arm for this task.
            AirflowException: a step before this one has not finished.
        """
        opened = opened or self.opened(context)
        run = opened.run
        self._skip_unless_taken(context, run, opened.datastore.storage)
        ti = context["ti"]
        request = TaskRequest(
            flow=self.flow,
            run_id=run.run_id,
            step=self.step,
            indices=self.index_path(),
            attempt=attempt_of(ti.try_number, run.first_attempt),
            run=run,
            run_sha256=opened.run_sha256,
            tells=self.tells,
        )
        if first is None:
            first = first_attempt_of(ti.max_tries, self.retries or 0, run.first_attempt)
        return Try(
            request=request,
            run=run,
            datastore=opened.datastore,
            environments=opened.environments,
            settings=opened.settings,
            first=first,
            records=tuple(self._records(opened.datastore, request, range(first, request.attempt + has_run))),
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

    def begin(self, context: Context, opened: Opened | None = None, first: int | None = None) -> Try:
        """The try that Airflow has started, of which nothing runs yet; see ``open`` for the arguments.

        Raises:
            AirflowFailException: the step has failed as often as it may; Airflow had missed the last failure.
            NotAsPrepared: as for ``open``; or a manifest of a task before is not the one that the task wrote.
            AirflowException: as for ``open``.
        """
        tried = self.open(context, opened, first)
        newest = tried.newest
        if newest is not None and not newest.is_done and tried.is_used_up:
            exception = newest.exception or as_exception(TaskFailed("No reason is known."))
            raise AirflowFailException(failure_text(self.step, exception))
        if tried.done is not None:
            return tried
        if newest is not None:
            self.log.info("Attempt %d, because %s", tried.request.attempt, why_again(newest))
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

    def revision(self, context: Context, run: RunRecord) -> RunRecord:
        """The run's record with the flow as it is now; see ``PrepareOperator.revision``."""
        prepare: PrepareOperator = self.dag.get_task(str(self.prepare))  # type: ignore[assignment]
        return prepare.revision(context, run)

    def _records(self, datastore: Datastore, request: TaskRequest, attempts: range) -> list[TaskRecord]:
        """Records of these attempts of the request's task."""
        found = [
            read_attempt(datastore.storage, replace(request, attempt=attempt).name) for attempt in attempts
        ]
        return [record for record in found if record is not None]

    def conclude(self, context: Context, tried: Try, result: TaskResult) -> Any:
        """Report an attempt's result to Airflow; for a foreach, return what the next step is mapped over.

        Raises:
            AirflowException: the step failed, and Airflow may try again.
            AirflowFailException: the step failed as often as it may.
        """
        end = self.end_of(tried, tried.request, result)
        record = end.result.record
        self.name_split(context, record.split_name)
        if not end.result.ok:
            self._fail(end)
        self._tell_outlets(context, record)
        self.tell_manifests(context, [record])
        if left_out := self.left_out.get(record.chosen or ""):
            context["ti"].xcom_push(SKIP_KEY, skipped_value(left_out))
        return self.splits_of([(self.index_path(), record)], tried.settings)

    def tell_manifests(self, context: Context, records: Sequence[TaskRecord]) -> None:
        """Tell the tasks after this one what its manifests are."""
        if self.prepare is not None:
            context["ti"].xcom_push(MANIFESTS_KEY, manifest_digests(records))

    def add_outlet(self, context: Context) -> None:
        """Make the asset of the flow's end an outlet of this task if a DAG refers to it.

        Airflow knows an asset as long as a DAG is scheduled by it, or reads or updates it; a DAG file cannot
        see who listens. See docs/decisions/0022-an-asset-while-a-dag-listens.md.
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

    def _skip_unless_taken(self, context: Context, run: RunRecord, storage: Storage) -> None:
        record_of = RecordReader(storage, self.flow, run.run_id)
        try:
            taken = is_taken(run.graph, self.step, self.index_path(), record_of)
        except LookupError as error:
            raise AirflowException(f"Step {self.step} cannot start: {error}") from error
        if not taken:
            if self.prepare is not None:
                compare(context["ti"], storage, run, self.step, record_of.read)
            self.name_split(context, None)
            raise AirflowSkipException(f"A switch before step {self.step} chose another way.")

    def _fail(self, end: StepEnd) -> None:
        kind = AirflowException if end.may_retry else AirflowFailException
        raise kind(failure_text(self.step, self.report_failure(end)))

    def report_failure(self, end: StepEnd) -> ExceptionRecord:
        """Print the traceback of a failure, unless it is printed already, and return the failure."""
        exception = end.result.exception or as_exception(TaskFailed("No reason is known."))
        if not end.result.reported and not end.is_ours:
            for line in exception["traceback"].splitlines():
                self.log.error("%s", line)
        return exception

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
            name = name or path_text(self.indices)
            context["split_name"] = name  # type: ignore[typeddict-unknown-key]

    def splits_of(self, ended: Sequence[tuple[Path, TaskRecord]], settings: Settings) -> Any:
        """Value that says over which splits Airflow maps the next step; None unless this one opens a foreach.

        Args:
            ended: index path and record of each task that this task of Airflow has finished, in order.
            settings: the settings in force.
        """
        if self.kind != "foreach":
            return None
        found = [(path, record.num_splits) for path, record in ended]
        ranges = [split_range(path, number) for path, number in found if number is not None]
        # The tasks of a nested foreach each return their ranges, and ``FanOutOperator`` joins them.
        return as_block(ranges) if self.indices else mapped_over(ranges, sharing(settings))


class StepOperator(StepTask):
    """Operator that runs one step of a flow as a process on the worker."""

    ui_color = "#dce9f5"

    def run_one(self, context: Context) -> Any:
        """Run the step's next attempt."""
        cancel = self.begin_cancellable(context)
        tried = self.begin(context)
        result = tried.done
        if result is None:
            tried, result = self.attempt(context, tried, cancel, partial(self.is_still_wanted, context))
        return self.conclude(context, tried, result)

    def attempt(
        self, context: Context, tried: Try, cancel: threading.Event, is_shut_down: Callable[[], bool]
    ) -> tuple[Try, TaskResult]:
        """Run the attempt as a child process."""
        del context
        result = run_attempt(
            replace(tried.request, python=sys.executable),
            tried.datastore,
            tried.environments,
            output=lambda _stream, line: self.log.info("%s", line),
            cancel=cancel,
            keepers=airflow_keepers(tried.settings),
            servers=self.fork_servers,
            step_credentials=tried.settings.step_credentials,
        )
        if result.cancelled and is_shut_down():
            result = conclude(tried.datastore.storage, tried.request, SHUT_DOWN)
        return tried, result
