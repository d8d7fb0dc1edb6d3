"""``spin``: one task of a step as it is now, with the inputs of a past run, beside all runs."""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from airflow_conda_flow.compute.compute import step_platforms
from airflow_conda_flow.datastore.borrowing_artifacts import BorrowingArtifacts
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import Datastore, open_datastore
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.manifests import write_run_manifest, write_task_manifest
from airflow_conda_flow.environments.credentials import Credentials
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.progress import open_progress
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.username import username
from airflow_conda_flow.local.console import Console
from airflow_conda_flow.local.scheduler import TaskLines
from airflow_conda_flow.records.names import task_id
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.task_record import TaskRecord
from airflow_conda_flow.runner.attempt import Surroundings, run_attempt
from airflow_conda_flow.runner.record_reader import RecordReader
from airflow_conda_flow.runner.run_preparation import prepare_run
from airflow_conda_flow.runner.stored_values import store_values
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult
from airflow_conda_flow.settings import Settings

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import ArtifactRef

FOLDER = ".conda_flow_spin"
_LEFT_OUT = frozenset({"retry", "catch", "kubernetes", "batch"})
"""A step is tried once, here, and one that fails has failed."""


@dataclass(frozen=True)
class SpinOptions:
    """What is to be run.

    Attributes:
        origin: the run whose inputs the task has.
        step: the step.
        indices: the task's index path.
        environment: ``conda`` for the step's own environment.
        persist: whether the artifacts stay.
        plain: whether the step runs without its decorators.
        replaced: values by name, in place of the artifacts of the run.
    """

    origin: RunRecord
    step: str
    indices: tuple[int, ...]
    environment: Literal["conda", "local"]
    persist: bool
    plain: bool
    replaced: Mapping[str, Any]


class Spin:
    """One task. What it leaves is in a datastore of its own, ``.conda_flow_spin`` in the current directory.

    Attributes:
        run_id: of the run that holds the task alone.
        task: the task's id.
    """

    def __init__(
        self, definition: FlowDefinition, settings: Settings, options: SpinOptions, console: Console
    ) -> None:
        self.run_id = str(time.time_ns() // 1000)
        self.task = task_id(options.indices)
        self._definition = definition
        self._settings = settings
        self._options = options
        self._console = console
        self._past = open_datastore(settings.datastore, settings.datastore_root, settings.cache_dir)
        self._storage = LocalStorage(Path(FOLDER).absolute())

    @property
    def datastore_name(self) -> str:
        """The datastore of the task, as the client's ``metadata()`` takes it."""
        return f"{self._storage.kind}@{self._storage.url}"

    @contextmanager
    def prepared(self) -> Iterator[Callable[[threading.Event], bool]]:
        """Make the step's environment, then give what runs the task and says whether it is done.

        It takes an event that ends the task early.
        """
        _make_folder(self._storage.root)
        temporary = None if self._options.persist else tempfile.mkdtemp(".artifacts", ".", self._storage.root)
        try:
            store = self._storage if temporary is None else LocalStorage(temporary)
            artifacts = BorrowingArtifacts(store, self._settings.cache_dir, self._past.artifacts)
            datastore = Datastore(self._storage, artifacts, self._settings.cache_dir)
            environments = self._environments()
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
            code_dir=Path(self._definition.file).parent,
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
        )
        if result.exception is not None and not result.reported:
            for text in result.exception["traceback"].splitlines():
                lines.line(text)
        lines.line("Task finished successfully." if result.ok else "Task failed.")
        return result

    def _environments(self) -> Environments:
        settings = self._settings
        return Environments(
            settings.cache_dir,
            storage=self._past.storage if settings.datastore == "s3" else None,
            resolver=settings.resolver,
            progress=open_progress(sys.stderr),
            credentials=Credentials.of_channels(settings.channels),
        )

    def _prepare(
        self, datastore: Datastore, environments: Environments
    ) -> tuple[RunRecord, Mapping[str, ArtifactRef]]:
        """The record of a run with the parameters of the origin, and the references of what is replaced."""
        definition, options = self._definition, self._options
        run = prepare_run(
            definition,
            datastore=datastore,
            environments=environments,
            settings=self._settings,
            platforms=step_platforms({name: {} for name in definition.graph.steps}, self._settings),
            run_id=self.run_id,
            parameters=definition.added_parameter_values(options.origin.parameters, username()),
            origin="local",
            environment="local" if options.plain else options.environment,
            resumed=options.origin,
            resolved={options.step},
        )
        decorators = run.decorators_of(options.step)
        kept = {
            name: each for name, each in decorators.items() if name not in _LEFT_OUT and not options.plain
        }
        refs = store_values(datastore, options.replaced, run.pickle_protocol(options.step))
        first = {name: ref for name, ref in refs.items() if name in run.parameters}
        others = {name: ref for name, ref in refs.items() if name not in run.parameters}
        run = run.changed(
            decorators={options.step: kept},
            # A step without inputs begins with parameters and constants: so these are replaced too.
            parameters={**run.parameters, **first},
            constants={**run.constants, **others},
        )
        if options.plain:
            run = run.changed(user_decorators={})
        write_run_manifest(self._storage, run)
        return run, refs

    def _leave(self, artifacts: BorrowingArtifacts, run: RunRecord, task: TaskRecord) -> None:
        """Keep the artifacts with all that they share with the origin, or say that there are none."""
        if self._options.persist:
            artifacts.keep([*task.artifacts.values(), *run.parameters.values()])
        else:
            write_task_manifest(self._storage, task.with_artifacts({}))


class _Inputs(RecordReader):
    """The tasks of the origin, with other values for some artifacts."""

    def __init__(self, past: Datastore, options: SpinOptions, refs: Mapping[str, ArtifactRef]) -> None:
        super().__init__(past.storage, options.origin.flow, options.origin.run_id)
        self._refs = refs

    def __call__(self, step: str, indices: tuple[int, ...]) -> TaskRecord | None:
        """The record of a finished task, or None."""
        found = super().__call__(step, indices)
        return None if found is None else found.with_artifacts({**found.artifacts, **self._refs})


class _Catalogue(RunCatalogue):
    """What the client sees in the step: all past runs, and the run of the task itself."""

    def __init__(self, past: Datastore, own: Datastore, run_id: str) -> None:
        super().__init__(past)
        self._own = RunCatalogue(own)
        self._run_id = run_id

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """The result of the method of that name."""
        is_own = name == "artifact" or self._run_id in arguments
        return self._own.call(name, arguments) if is_own else super().call(name, arguments)


def _make_folder(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    ignored = root / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="utf-8")
