"""A run that this process schedules: its preparation, and the attempts of its tasks."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from airflow_conda_flow._version import __version__
from airflow_conda_flow.compute.compute import RunContext, make_compute
from airflow_conda_flow.compute.infrastructure import infrastructure_retries
from airflow_conda_flow.compute.placement import Placement
from airflow_conda_flow.datastore.keeping import note_end, signs_of_life
from airflow_conda_flow.datastore.run_memory import RunMemory
from airflow_conda_flow.environments.progress import open_progress
from airflow_conda_flow.flow.decorators.retry import retries
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.username import username
from airflow_conda_flow.local.cloning import Cloning
from airflow_conda_flow.local.console import Console
from airflow_conda_flow.local.readiness import Readiness, TaskKey
from airflow_conda_flow.local.scheduler import RunTask, Scheduler, TaskLines, TaskOutcome
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.task_record import TaskRecord
from airflow_conda_flow.runner.attempt import caught_outside
from airflow_conda_flow.runner.caught_failure import is_hopeless
from airflow_conda_flow.runner.code_sources import CodeSources
from airflow_conda_flow.runner.fork_servers import ForkServers
from airflow_conda_flow.runner.main_node import new_gang_key
from airflow_conda_flow.runner.record_reader import HeldRecords
from airflow_conda_flow.runner.run_preparation import prepare_run
from airflow_conda_flow.runner.stores import open_environments, open_settings_datastore
from airflow_conda_flow.runner.task_inputs import gather_inputs, inputs_sha256
from airflow_conda_flow.runner.task_request import TaskRequest
from airflow_conda_flow.settings.loading import Settings

_LOST_PAUSE = 3.0
"""Seconds before a step is tried again whose pod or job was taken away: its cluster is busy with that."""


@dataclass(frozen=True)
class RunOptions:
    """Choices that the command line makes for one run.

    Attributes:
        environment: ``conda`` runs every step in its own environment, ``local`` in this interpreter.
        parameters: value of every parameter, by attribute.
        tags: tags of the run.
        max_workers: number of tasks that may run at the same time.
        max_num_splits: maximum number of splits of a foreach.
        namespace: tag of the runs that the client shows in steps; that of the user if None.
        resumed: run that this one resumes.
        rerun: steps that a resumed run runs again even if their tasks are done.
        trigger: events for ``current.trigger``, newest first.
    """

    environment: Literal["conda", "local"]
    parameters: Mapping[str, Any]
    tags: tuple[str, ...]
    max_workers: int
    max_num_splits: int = 100
    namespace: str | None = None
    resumed: RunRecord | None = None
    rerun: frozenset[str] = frozenset()
    trigger: list[dict[str, Any]] | None = None


class LocalRun:
    """A run that this process schedules. Its tasks run here, or as pods or jobs where decorators say so.

    Attributes:
        run_id: time of the start in microseconds; the catalogue sorts runs by it without reading them.
    """

    def __init__(
        self, definition: FlowDefinition, settings: Settings, options: RunOptions, console: Console
    ) -> None:
        self.run_id = str(time.time_ns() // 1000)
        self._definition = definition
        self._options = options
        self._console = console
        self._datastore = open_settings_datastore(settings)
        progress = open_progress(sys.stderr, quiet=console.is_quiet)
        self._environments = open_environments(settings, self._datastore, progress)
        self._settings = settings
        self._spare = infrastructure_retries(settings)
        # Records of the tasks that have ended in this process, and of the clones that it made.
        self._held: dict[TaskKey, TaskRecord] = {}

    @property
    def datastore_name(self) -> str:
        """Name of the run's datastore, in the form that the client's ``metadata()`` accepts."""
        return self._datastore.describe()

    @contextmanager
    def prepared(self) -> Iterator[Scheduler]:
        """Resolve environments, store code package and run manifest, clone tasks, then yield the scheduler.

        Raises:
            CondaFlowError: an environment cannot be made, or the datastore, Kubernetes or Batch cannot be
                reached.
        """
        definition = self._definition
        self._console.note(
            f"airflow-conda-flow {__version__} executing {definition.name} for user:{username()}"
        )
        if project := definition.project:
            self._console.note(f"Project: {project['project_name']}, Branch: {project['branch_name']}")
        if self._options.environment == "local" and definition.declares_conda:
            self._console.note("Note: @conda has no effect without --environment=conda.")
        # Checked first: making environments takes minutes, and would be in vain.
        placement = Placement.of(definition.decorators)
        placement.check_reachable(self._settings)
        run = prepare_run(
            definition,
            datastore=self._datastore,
            environments=self._environments,
            settings=self._settings,
            platforms=placement.platforms(self._settings),
            in_containers=placement.remote_steps,
            run_id=self.run_id,
            parameters=self._options.parameters,
            origin="local",
            tags=self._options.tags,
            environment=self._options.environment,
            namespace=self._options.namespace,
            resumed=self._options.resumed,
            current={"trigger": self._options.trigger} if self._options.trigger else None,
            runner=placement.runner(definition.decorators, self._settings, self._datastore.storage),
        )
        scheduler = None
        try:
            with (
                signs_of_life(self._datastore.storage, run.flow, run.run_id),
                closing(ForkServers()) as servers,
            ):
                scheduler = self._scheduler(run, self._run_task(run, placement, servers))
                yield scheduler
        finally:
            if scheduler is None or not scheduler.has_succeeded:
                note_end(self._datastore.storage, run.flow, run.run_id)

    def _scheduler(self, run: RunRecord, run_task: RunTask) -> Scheduler:
        """Scheduler of the run; clones tasks if it resumes another one."""
        graph = self._definition.graph
        if self._options.resumed is not None:
            self._console.run_line(
                "Gathering required information to resume run (this may take a bit of time)..."
            )
        self._console.run_line(f"Workflow starting (run-id {self.run_id}):")
        readiness, first = Readiness(graph), None
        if self._options.resumed is not None:
            cloning = Cloning(
                self._datastore,
                self._options.resumed,
                run,
                self._options.rerun,
                self._options.max_num_splits,
                self._held,
            )
            first = cloning.clone(readiness, self._console)
        return Scheduler(
            graph, self.run_id, run_task, self._console, self._options.max_workers, readiness, first
        )

    def _run_task(self, run: RunRecord, placement: Placement, servers: ForkServers) -> RunTask:
        """Function that runs one attempt of a task in the place of its step."""
        sources = CodeSources.of(self._definition, self._settings.package_modules)
        context = RunContext(run, self._datastore, self._environments, self._settings, sources, servers)
        # One compute for all steps of a kind: that of Batch looks at all jobs with one request.
        computes = {place.name: make_compute(place.name, context) for place in placement.places()}
        decorators_of = self._definition.decorators
        # This process alone holds it; what the datastore says of the run later is compared with it.
        run_sha256 = run.sha256
        memory = RunMemory(self._datastore, run.flow, self.run_id)
        memory.note_run(run)
        gang_keys: defaultdict[tuple[object, ...], str] = defaultdict(new_gang_key)
        key_mutex = threading.Lock()

        def gang_key(step: str, indices: tuple[int, ...], attempt: int) -> str | None:
            if not run.graph.is_in_gang(step):
                return None
            with key_mutex:  # the nodes start in threads
                return gang_keys[step, indices[:-1], attempt]

        def run_task(
            key: tuple[str, tuple[int, ...]], lines: TaskLines, cancel: threading.Event
        ) -> TaskOutcome:
            decorators = decorators_of[key[0]]
            # @catch takes effect in the last attempt only, so the step has to know which one that is.
            times, seconds = retries(decorators)
            is_last = lines.attempt - lines.lost >= times
            request = TaskRequest(
                run.flow,
                self.run_id,
                *key,
                attempt=lines.attempt,
                is_last=is_last,
                run_sha256=run_sha256,
                inputs_sha256=self._inputs_sha256(run, key),
                gang_key=gang_key(*key, lines.attempt),
            )
            task_id = request.task.task_id
            memory.note_start(task_id)
            result = computes[placement.names[key[0]]].run(
                request,
                output=lambda _stream, text: lines.line(text),
                on_start=lines.started,
                cancel=cancel,
            )
            # A pod or job may die together with its runner, which would have applied @catch.
            is_lost = not result.ok and result.record.is_lost
            if is_lost:
                is_last = lines.lost >= self._spare
                request = replace(request, is_last=is_last)
            if not result.ok and not result.cancelled:
                result = caught_outside(request, run, self._datastore, result, lines.line)
            if result.ok:
                self._held[key] = result.record
                memory.note(result.record)
                outcome = _outcome(result.record, self._options.max_num_splits)
                if outcome.ok and result.record.num_splits is not None:
                    lines.line(f"Foreach yields {result.record.num_splits} child steps.")
                return outcome
            memory.note_failure(task_id)
            exception = None if result.reported else result.exception
            # Retry at once on this machine: waiting would change nothing here.
            pause = seconds if placement.is_remote(key[0]) else 0.0
            if is_lost:
                pause = _LOST_PAUSE
            return TaskOutcome(
                ok=False,
                failure=None if exception is None else exception["traceback"] or exception["message"],
                retry_in=None if is_last or cancel.is_set() or is_hopeless(result.exception) else pause,
                was_ended=result.cancelled,
                is_lost=is_lost,
            )

        return run_task

    def _inputs_sha256(self, run: RunRecord, key: TaskKey) -> str | None:
        """Digest of the records of the tasks before a task, as this process has seen them end."""
        held = HeldRecords(self._datastore.storage, run, self._held)
        try:
            gather_inputs(run, *key, held)
        except LookupError:  # the attempt itself says which one is missing
            return None
        return inputs_sha256(held)


def _outcome(record: TaskRecord, max_num_splits: int) -> TaskOutcome:
    """Outcome of a task that is done: a failure if its foreach has more splits than the run allows."""
    transition, num_splits = record.transition, record.num_splits
    if transition is not None and num_splits is not None and num_splits > max_num_splits:
        return TaskOutcome(
            ok=False,
            failure=f"The foreach of step {record.step!r} over self.{transition['foreach']} has "
            f"{num_splits} splits, and this run allows {max_num_splits}. "
            f"Give run --max-num-splits {num_splits}, or make it shorter.",
        )
    return TaskOutcome(ok=True, transition=transition)
