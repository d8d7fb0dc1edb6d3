"""``spin``: run one task of a step as it is now, with inputs of a past run, outside the datastore of runs."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from airflow_conda_flow.compute.placement import Placement
from airflow_conda_flow.datastore.borrowing_artifacts import BorrowingArtifacts
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.datastore.left_behind import clear_once, new_mark
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.manifests import write_run_manifest, write_task_manifest
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.progress import open_progress
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.places import remote_names
from airflow_conda_flow.flow.username import username
from airflow_conda_flow.local.console import Console
from airflow_conda_flow.local.scheduler import TaskLines
from airflow_conda_flow.records.names import task_id
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.task_record import TaskRecord
from airflow_conda_flow.runner.attempt import Surroundings, run_attempt
from airflow_conda_flow.runner.code_sources import CodeSources
from airflow_conda_flow.runner.record_reader import RecordReader
from airflow_conda_flow.runner.run_preparation import prepare_run
from airflow_conda_flow.runner.stored_values import store_values
from airflow_conda_flow.runner.stores import open_environments, open_settings_datastore
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult
from airflow_conda_flow.settings.loading import Settings

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import ArtifactRef

FOLDER = ".conda_flow_spin"
"""Directory of the datastore that spun tasks are written to, in the current directory."""

_LEFT_OUT = ("retry", "catch")
"""Decorators without effect, beside those of remote places.

A spun step runs once, on this machine, and shows its own failure.
"""


@dataclass(frozen=True)
class SpinOptions:
    """Choices for one spun task.

    Attributes:
        origin: run that the inputs come from.
        step: name of the step.
        indices: index path of the task.
        environment: ``conda`` runs the step in its own environment, ``local`` in this interpreter.
        persist: keep the artifacts.
        plain: run the step without its decorators, in this interpreter.
        replaced: values by name that replace artifacts and parameters of the origin.
    """

    origin: RunRecord
    step: str
    indices: tuple[int, ...]
    environment: Literal["conda", "local"]
    persist: bool
    plain: bool
    replaced: Mapping[str, Any]


class Spin:
    """A spun task. Its results go to a separate datastore, ``.conda_flow_spin`` in the current directory.

    Attributes:
        run_id: id of the run that contains this task only.
        task: id of the task.
    """

    def __init__(
        self, definition: FlowDefinition, settings: Settings, options: SpinOptions, console: Console
    ) -> None:
        self.run_id = str(time.time_ns() // 1000)
        self.task = task_id(options.step, options.indices)
        self._definition = definition
        self._settings = settings
        self._options = options
        self._console = console
        self._past = open_settings_datastore(settings)
        self._storage = LocalStorage(Path(FOLDER).absolute())

    @property
    def datastore_name(self) -> str:
        """Name of the task's datastore, in the form that the client's ``metadata()`` accepts."""
        return f"{self._storage.kind}@{self._storage.url}"

    @contextmanager
    def prepared(self) -> Iterator[Callable[[threading.Event], bool]]:
        """Make the step's environment, then yield a function that runs the task.

        The function takes an event that ends the task early, and returns True if the task is done.
        """
        _make_folder(self._storage.root)
        # Without persist the artifacts are needed only while the task runs.
        temporary = None if self._options.persist else self._storage.root / f".{new_mark()}.artifacts"
        clear_once(self._storage.root)
        try:
            store = self._storage if temporary is None else LocalStorage(temporary)
            artifacts = BorrowingArtifacts(store, self._settings.cache_dir, self._past.artifacts)
            datastore = Datastore(self._storage, artifacts, self._settings.cache_dir)
            progress = open_progress(sys.stderr, quiet=self._console.is_quiet)
            environments = open_environments(self._settings, self._past, progress)
            record, refs = self._prepare(datastore, environments)
            reader = _Inputs(self._past, self._options, refs)
            surroundings = Surroundings(reader, _Catalogue(self._past, datastore, self.run_id))

            def run(cancel: threading.Event) -> bool:
                result = self._run(record, datastore, environments, surroundings, cancel)
                self._leave(artifacts, record, result.record)
                return result.ok

            yield run
        finally:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)

    def _run(
        self,
        record: RunRecord,
        datastore: Datastore,
        environments: Environments,
        surroundings: Surroundings,
        cancel: threading.Event,
    ) -> TaskResult:
        options = self._options
        lines = TaskLines(self._console, f"{self.run_id}/{options.step}/{self.task}")
        request = TaskRequest(
            self._definition.name,
            self.run_id,
            options.step,
            options.indices,
            sources=CodeSources.of(self._definition, self._settings.package_modules),
            run=record,
            python=sys.executable,
        )
        result = run_attempt(
            request,
            datastore,
            environments,
            output=lambda _stream, text: lines.line(text),
            on_start=lambda pid: lines.started(f"pid {pid}"),
            cancel=cancel,
            surroundings=surroundings,
            step_credentials=self._settings.step_credentials,
        )
        if result.exception is not None and not result.reported:
            for text in result.exception["traceback"].splitlines():
                lines.line(text)
        failed = "Task ended with the run." if cancel.is_set() else "Task failed."
        lines.line("Task finished successfully." if result.ok else failed)
        return result

    def _prepare(
        self, datastore: Datastore, environments: Environments
    ) -> tuple[RunRecord, Mapping[str, ArtifactRef]]:
        """Record of the new run, with the origin's parameters, and references to the replacing values."""
        definition, options = self._definition, self._options
        run = prepare_run(
            definition,
            datastore=datastore,
            environments=environments,
            settings=self._settings,
            # Without decorators: also a step with @kubernetes or @batch runs on this machine.
            platforms=Placement.of({name: {} for name in definition.graph.steps}).platforms(self._settings),
            run_id=self.run_id,
            parameters=definition.added_parameter_values(options.origin.parameters, username()),
            origin="local",
            environment="local" if options.plain else options.environment,
            resumed=options.origin,
            resolved={options.step},
        )
        decorators = run.decorators_of(options.step)
        left_out = {*_LEFT_OUT, *remote_names()}
        kept = {name: each for name, each in decorators.items() if name not in left_out and not options.plain}
        refs = store_values(datastore, options.replaced, run.pickle_protocol(options.step))
        # A replaced parameter replaces the parameter of the run; any other name becomes a constant.
        first = {name: ref for name, ref in refs.items() if name in run.parameters}
        others = {name: ref for name, ref in refs.items() if name not in run.parameters}
        run = run.changed(
            decorators={options.step: kept},
            # The first step has no inputs: its artifacts are the parameters and constants of the run.
            parameters={**run.parameters, **first},
            constants={**run.constants, **others},
        )
        if options.plain:
            run = run.changed(user_decorators={})
        write_run_manifest(self._storage, run)
        return run, refs

    def _leave(self, artifacts: BorrowingArtifacts, run: RunRecord, task: TaskRecord) -> None:
        """Copy borrowed artifacts into the task's datastore, or rewrite the manifest without artifacts."""
        if self._options.persist:
            artifacts.keep([*task.artifacts.values(), *run.parameters.values()])
        else:
            write_task_manifest(self._storage, task.with_artifacts({}))


class _Inputs(RecordReader):
    """Reader of the origin's tasks that replaces some of their artifacts."""

    def __init__(self, past: Datastore, options: SpinOptions, refs: Mapping[str, ArtifactRef]) -> None:
        super().__init__(past.storage, options.origin.flow, options.origin.run_id)
        self._refs = refs

    def __call__(self, step: str, indices: tuple[int, ...]) -> TaskRecord | None:
        """Record of a finished task, with replaced artifacts; None if there is none."""
        found = super().__call__(step, indices)
        return None if found is None else found.with_artifacts({**found.artifacts, **self._refs})


class _Catalogue(RunCatalogue):
    """Catalogue for the client in the step: all past runs, and the run of the spun task."""

    def __init__(self, past: Datastore, own: Datastore, run_id: str) -> None:
        super().__init__(past)
        self._own = RunCatalogue(own)
        self._run_id = run_id

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """Result of the method of that name, from the datastore that has the run."""
        # Own artifacts include those of past runs, which ``BorrowingArtifacts`` reads.
        is_own = name == "artifact" or self._run_id in arguments
        return self._own.call(name, arguments) if is_own else super().call(name, arguments)


def _make_folder(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    # Keep the directory out of the user's repository.
    ignored = root / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="utf-8")
