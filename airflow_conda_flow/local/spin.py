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
from typing import Any, Literal

from airflow_conda_flow.compute.compute import step_platforms
from airflow_conda_flow.datastore.borrowing_artifacts import BorrowingArtifacts
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import Datastore, open_datastore
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.manifests import Manifest, write_run_manifest, write_task_manifest
from airflow_conda_flow.environments.credentials import Credentials
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.progress import open_progress
from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.flow.index_path import task_id
from airflow_conda_flow.flow.username import username
from airflow_conda_flow.local.console import Console
from airflow_conda_flow.local.scheduler import TaskLines
from airflow_conda_flow.runner.attempt import Surroundings, TaskRequest, TaskResult, run_attempt
from airflow_conda_flow.runner.manifest_reader import ManifestReader
from airflow_conda_flow.runner.run_preparation import prepare_run
from airflow_conda_flow.runtime import pickling
from airflow_conda_flow.settings import Settings

FOLDER = ".conda_flow_spin"
_LEFT_OUT = frozenset({"retry", "catch", "kubernetes", "batch"})
"""A step is tried once, here, and one that fails has failed."""


@dataclass(frozen=True)
class SpinOptions:
    """What is to be run.

    Attributes:
        origin: the manifest of the run whose inputs the task has.
        step: the step.
        indices: the task's index path.
        environment: ``conda`` for the step's own environment.
        persist: whether the artifacts stay.
        plain: whether the step runs without its decorators.
        replaced: values by name, in place of the artifacts of the run.
    """

    origin: Manifest
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
            manifest, refs = self._prepare(datastore, environments)
            reader = _Inputs(self._past, self._options, refs)
            surroundings = Surroundings(reader, _Catalogue(self._past, datastore, self.run_id))

            def run(cancel: threading.Event) -> bool:
                result = self._run(manifest, datastore, environments, surroundings, cancel)
                self._leave(artifacts, manifest, result.manifest)
                return result.ok

            yield run
        finally:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)

    def _run(
        self,
        manifest: Manifest,
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
            run_manifest=manifest,
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
        if not result.ok and not result.reported:
            for text in (result.exception or {}).get("traceback", "").splitlines():
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
    ) -> tuple[Manifest, Mapping[str, Any]]:
        """The manifest of a run with the parameters of the origin, and the references of what is replaced."""
        definition, options = self._definition, self._options
        manifest = prepare_run(
            definition,
            datastore=datastore,
            environments=environments,
            settings=self._settings,
            platforms=step_platforms({name: {} for name in definition.graph.steps}, self._settings),
            run_id=self.run_id,
            parameters=definition.added_parameter_values(options.origin["parameters"], username()),
            origin="local",
            environment="local" if options.plain else options.environment,
            resumed=options.origin,
            resolved={options.step},
        )
        decorators = manifest["decorators"].get(options.step, {})
        kept = {
            name: each for name, each in decorators.items() if name not in _LEFT_OUT and not options.plain
        }
        manifest["decorators"] = {options.step: kept}
        if options.plain:
            manifest["user_decorators"] = {}
        refs = self._stored(datastore, manifest)
        for name, ref in refs.items():  # what the first step has at once
            place = "parameters" if name in manifest["parameters"] else "constants"
            manifest[place] = {**manifest[place], name: ref}
        write_run_manifest(self._storage, manifest)
        return manifest, refs

    def _stored(self, datastore: Datastore, manifest: Manifest) -> dict[str, Any]:
        """The references of the values that stand in for artifacts."""
        protocol = manifest["pickle_protocols"][self._options.step]
        scratch = datastore.artifacts.scratch_dir()
        refs: dict[str, Any] = {}
        try:
            for number, (name, value) in enumerate(self._options.replaced.items()):
                path = scratch / str(number)
                refs[name] = pickling.dump_to_file(value, str(path), protocol)
                datastore.artifacts.publish(path, refs[name]["sha256"])
        finally:
            shutil.rmtree(scratch)
        return refs

    def _leave(self, artifacts: BorrowingArtifacts, run: Manifest, task: Manifest) -> None:
        """Keep the artifacts with all that they share with the origin, or say that there are none."""
        if self._options.persist:
            artifacts.keep([*task["artifacts"].values(), *run["parameters"].values()])
        else:
            write_task_manifest(self._storage, {**task, "artifacts": {}})


class _Inputs(ManifestReader):
    """The tasks of the origin, with other values for some artifacts."""

    def __init__(self, past: Datastore, options: SpinOptions, refs: Mapping[str, Any]) -> None:
        super().__init__(past.storage, options.origin["flow"], options.origin["run_id"])
        self._refs = refs

    def __call__(self, step: str, indices: tuple[int, ...]) -> Manifest | None:
        """The manifest of a finished task, or None."""
        found = super().__call__(step, indices)
        return found if found is None else {**found, "artifacts": {**found["artifacts"], **self._refs}}


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
