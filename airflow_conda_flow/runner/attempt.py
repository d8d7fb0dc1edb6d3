"""One attempt of one task, from outside its environment: gather, run, publish, commit."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow_conda_flow.datastore import code_package
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.datastore.digest import remember
from airflow_conda_flow.datastore.manifests import DONE, read_run_manifest, write_task_manifest
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.errors import CondaFlowError, TimeoutException
from airflow_conda_flow.flow.graph import FlowGraph
from airflow_conda_flow.flow.index_path import task_id
from airflow_conda_flow.runner import caught_failure, secret_values
from airflow_conda_flow.runner.attempt_cards import AttemptCards
from airflow_conda_flow.runner.attempt_log import AttemptLog, shown
from airflow_conda_flow.runner.failed_attempt import as_exception
from airflow_conda_flow.runner.main_node import THIS_MACHINE, main_address
from airflow_conda_flow.runner.manifest_reader import ManifestReader
from airflow_conda_flow.runner.process_death import describe_death
from airflow_conda_flow.runner.runtime_root import runtime_root
from airflow_conda_flow.runner.s3_service import S3Service
from airflow_conda_flow.runner.step_environ import conda_command, conda_environ, plain_command
from airflow_conda_flow.runner.step_process import ProcessEnd, run_step_process
from airflow_conda_flow.runner.task_message import leads_back, next_round, task_message
from airflow_conda_flow.runtime import main as runtime_main
from airflow_conda_flow.runtime import protocol, time_limit

Manifest = dict[str, Any]
_PUBLISHED_AT_ONCE = 1024 * 1024


@dataclass(frozen=True)
class TaskRequest:
    """Which attempt of which task is to be run.

    Attributes:
        flow: the flow's name.
        run_id: the run's id.
        step: the step's name.
        indices: the index path.
        attempt: from 0.
        is_last: whether the task fails for good if this attempt does; what ``@catch`` waits for.
        code_dir: where the flow file is; None extracts the run's code package.
        run_manifest: the run's manifest; None reads it.
        python: the interpreter for steps without an environment; None is this one.
        is_elsewhere: whether the other nodes of a ``num_parallel`` are found through the network alone.
    """

    flow: str
    run_id: str
    step: str
    indices: tuple[int, ...] = ()
    attempt: int = 0
    code_dir: Path | None = None
    run_manifest: Manifest | None = None
    python: str | None = None
    is_last: bool = True
    is_elsewhere: bool = False

    def to_dict(self) -> dict[str, Any]:
        """What names the attempt, as JSON; what is found anew on every machine is left out."""
        return {
            "flow": self.flow,
            "run_id": self.run_id,
            "step": self.step,
            "indices": list(self.indices),
            "attempt": self.attempt,
            "is_last": self.is_last,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TaskRequest:
        """The inverse of ``to_dict``.

        >>> request = TaskRequest("AFlow", "1", "train", (3, 1), attempt=2)
        >>> TaskRequest.from_dict(request.to_dict()) == request
        True
        """
        return cls(
            data["flow"],
            data["run_id"],
            data["step"],
            tuple(data["indices"]),
            data["attempt"],
            is_last=data.get("is_last", True),
        )


@dataclass(frozen=True)
class TaskResult:
    """How an attempt ended.

    Attributes:
        ok: whether its outputs are published; also of a failure that ``@catch`` caught.
        manifest: what was committed.
        exception: type, message and traceback of the failure, as texts; None if there was none.
        cancelled: whether it was ended from outside.
        reported: whether the failure's traceback is among the lines that the attempt printed.
    """

    ok: bool
    manifest: Manifest
    exception: dict[str, Any] | None = None
    cancelled: bool = False
    reported: bool = False


@dataclass(frozen=True)
class Surroundings:
    """Where an attempt looks, if not in the run that it is part of.

    Attributes:
        manifest_of: the tasks before it.
        catalogue: what the client in the step is told.
    """

    manifest_of: ManifestReader
    catalogue: RunCatalogue


Output = Callable[[str, str], None]
"""Called with ``stdout`` or ``stderr`` and a line without its newline."""


def run_attempt(
    request: TaskRequest,
    datastore: Datastore,
    environments: Environments,
    output: Output,
    on_start: Callable[[int], None] = lambda _pid: None,
    cancel: threading.Event | None = None,
    keepers: Mapping[str, secret_values.Keeper] | None = None,
    surroundings: Surroundings | None = None,
) -> TaskResult:
    """Run one attempt in the calling thread and commit its manifest, done or failed.

    A step that fails gives a result that says so, and so does an environment that cannot be made.

    Args:
        request: which attempt.
        datastore: where inputs come from and outputs go to.
        environments: where environments come from.
        output: takes the lines that the step prints, as they come.
        on_start: called with the pid of the step process.
        cancel: when set, the attempt ends early.
        keepers: who gives the secrets of a type, where it is another than ``secret_values.KEEPERS``.
        surroundings: where the attempt looks; its own run if None.

    Raises:
        DatastoreError: the manifests cannot be read or written.
    """
    run = request.run_manifest or read_run_manifest(datastore.storage, request.flow, request.run_id)
    if surroundings is None:
        reader = ManifestReader(datastore.storage, request.flow, request.run_id)
        surroundings = Surroundings(reader, RunCatalogue(datastore))
    attempt = _Attempt(request, run, datastore, environments, output, keepers or {}, surroundings)
    return attempt.run(on_start, cancel or threading.Event())


def caught_outside(
    request: TaskRequest, run: Manifest, datastore: Datastore, result: TaskResult, say: Callable[[str], None]
) -> TaskResult:
    """What ``@catch`` makes of a last attempt whose pod or job ended with its runner.

    Any other result, and one whose attempt cannot have started, comes back as it is.

    Args:
        request: the attempt.
        run: the run's manifest.
        datastore: where the run is.
        result: how it ended.
        say: takes the lines that are printed.
    """
    exception = result.exception or {"message": "No reason is known."}
    exception = {"type": "TaskFailed", "traceback": f"{exception['message']}\n", **exception}
    if result.ok or not request.is_last or not caught_failure.is_caught(run, request.step):
        return result
    try:
        manifest = caught_failure.commit_from_outside(
            datastore, run, request.step, request.indices, request.attempt, exception
        )
    except LookupError:
        return result
    for line in caught_failure.lines(run, request.step, exception):
        say(line)
    return TaskResult(ok=True, manifest=manifest, exception=exception)


class _Attempt:
    """The course of one attempt; also the exchange with its step process."""

    def __init__(
        self,
        request: TaskRequest,
        run: Manifest,
        datastore: Datastore,
        environments: Environments,
        output: Output,
        keepers: Mapping[str, secret_values.Keeper],
        surroundings: Surroundings,
    ) -> None:
        self._request = request
        self._surroundings = surroundings
        self._run = run
        self._datastore = datastore
        self._environments = environments
        self._output = output
        self._keepers = keepers
        self._mask = secret_values.Mask()
        self._started = _now()
        self._publishing: list[Future[None]] = []
        self._publisher: ThreadPoolExecutor | None = None
        self._split_name: str | None = None
        self._message: dict[str, Any] | None = None
        self._cards = AttemptCards(
            datastore.storage,
            run.get("decorators", {}).get(request.step, {}).get("card", []),
            run["parameters"],
            self._mask.data,
        )

    def run(self, on_start: Callable[[int], None], cancel: threading.Event) -> TaskResult:
        scratch = self._datastore.artifacts.scratch_dir()
        self._log = AttemptLog(scratch)
        self._s3 = S3Service(self._datastore.storage, scratch)
        try:
            return self._run_and_commit(scratch, on_start, cancel)
        finally:
            self._s3.close()
            self._log.close()
            shutil.rmtree(scratch, ignore_errors=True)

    def _run_and_commit(
        self, scratch: Path, on_start: Callable[[int], None], cancel: threading.Event
    ) -> TaskResult:
        try:
            try:
                end = self._run_process(scratch, on_start, cancel)
                self._finish_publishing()
            finally:
                if self._publisher is not None:
                    self._publisher.shutdown()
        except (CondaFlowError, OSError) as error:
            return self._conclude({}, as_exception(error), cancelled=cancel.is_set())
        last = end.last or {"type": "failed", "exception": self._death(end)}
        return self._conclude(last, last.get("exception"), cancelled=end.cancelled)

    def _run_process(
        self, scratch: Path, on_start: Callable[[int], None], cancel: threading.Event
    ) -> ProcessEnd:
        request, run = self._request, self._run
        code_dir = request.code_dir or code_package.extract(
            self._datastore.storage, run["code"]["sha256"], self._datastore.cache_dir
        )
        graph = FlowGraph.from_dict(run["graph"])
        main_ip = THIS_MACHINE
        if request.is_elsewhere and graph.is_in_gang(request.step):
            main_ip = main_address(self._datastore.storage, request, cancel)
        # On Kubernetes a directory in memory may be for that.
        tempdir = Path(tempfile.mkdtemp("", "task-", os.environ.get("CONDA_FLOW_TEMPDIR") or scratch))
        message = task_message(
            graph,
            run,
            request.step,
            request.indices,
            request.attempt,
            self._surroundings.manifest_of,
            code_dir,
            scratch,
            tempdir,
            is_last=request.is_last,
            main_ip=main_ip,
            is_copy=request.code_dir is None,
        )
        message["s3"] = {
            "socket": self._s3.path,
            "root": run.get("datatools_root"),
            "scratch": str(scratch),
        }
        self._message = message
        if message["foreach_stack"]:
            self._split_name = " / ".join(frame["name"] for frame in message["foreach_stack"])
        command, environ = self._command()
        environ = self._with_variables(environ)
        end = run_step_process(command, environ, message, self, on_start, cancel)
        while end.last is not None and leads_back(request.step, end.last) and not cancel.is_set():
            self._finish_publishing()
            self._message = message = next_round(message, end.last)
            end = run_step_process(command, environ, message, self, on_start, cancel)
        return end

    def _with_variables(self, environ: Mapping[str, str] | None) -> Mapping[str, str] | None:
        """The step's variables: those around it, then ``@environment``, then ``@secrets``."""
        decorators = self._run.get("decorators", {}).get(self._request.step, {})
        if not decorators.keys() & {"environment", "secrets"}:
            return environ
        values = {
            **(os.environ if environ is None else environ),
            **decorators.get("environment", {}).get("vars", {}),
        }
        secrets = secret_values.resolve(decorators, values, self._keepers)
        self._mask.hide(secrets.values())
        return {**values, **secrets}

    def _command(self) -> tuple[list[str], Mapping[str, str] | None]:
        environment = self._run["environments"].get(self._request.step)
        if environment is None and self._request.python in {None, sys.executable}:
            # This interpreter has the package already; a second copy would only hide it.
            return plain_command(sys.executable, Path(runtime_main.__file__)), None
        root = runtime_root(self._datastore.cache_dir)
        main = root / "airflow_conda_flow" / "runtime" / "main.py"
        if environment is None:
            return plain_command(str(self._request.python), main), None
        prefix = self._environments.prefix_for(environment["id"], environment["platform"])
        return conda_command(prefix, main), conda_environ(os.environ, prefix)

    # The exchange.

    def answer(self, message: Mapping[str, Any]) -> dict[str, Any] | None:
        """Give an artifact's file, or take one, or say what is known of past runs."""
        if message["type"] == "publish":
            self._publish(Path(message["path"]), message["sha256"], message["size"])
            return None
        if message["type"] == "ask":
            return self._told(message)
        if message["type"] == "cards":
            self._cards.take(message, self._manifest({}, None, "running"))
            return None
        try:
            path = self._datastore.artifacts.fetch(message["sha256"], message["size"])
        except CondaFlowError as error:
            return protocol.error(str(error))
        return protocol.artifact(str(path))

    def _told(self, message: Mapping[str, Any]) -> dict[str, Any]:
        try:
            if message["call"] == "artifact":  # a card's own type may read what the step has just made
                self._finish_publishing()
            return protocol.answer(self._surroundings.catalogue.call(message["call"], message["arguments"]))
        except CondaFlowError as error:
            return protocol.error(str(error), type(error).__name__)

    def line(self, stream: str, data: bytes) -> None:
        """Keep a line for the log and pass it on; secrets are masked in both."""
        data = self._mask.data(data)
        self._log.add(stream, data)
        self._output(stream, shown(data))

    def _publish(self, path: Path, sha256: str, size: int) -> None:
        """Small files at once; large ones beside the step, which goes on pickling."""
        remember(path, sha256)  # the step process hashed exactly what it wrote
        if size < _PUBLISHED_AT_ONCE and self._datastore.storage.kind == "local":
            self._datastore.artifacts.publish(path, sha256)
            return
        if self._publisher is None:
            self._publisher = ThreadPoolExecutor(4, thread_name_prefix="publish")
        self._publishing.append(self._publisher.submit(self._datastore.artifacts.publish, path, sha256))

    def _finish_publishing(self) -> None:
        for future in self._publishing:
            future.result()
        self._publishing.clear()

    # The commit.

    def _conclude(
        self, last: Mapping[str, Any], exception: dict[str, Any] | None, *, cancelled: bool
    ) -> TaskResult:
        """Commit the attempt as it ended, or as ``@catch`` says that it ended."""
        message = self._message
        exception = None if exception is None else self._mask.exception(exception)
        if exception is None or cancelled or message is None or not message["is_caught"]:
            return self._commit(last, exception, cancelled=cancelled)
        for line in caught_failure.lines(self._run, self._request.step, exception):
            self.line("stderr", line.encode("utf-8", "backslashreplace") + b"\n")
        left = last.get("artifacts", message["namespace"])
        outcome = caught_failure.outcome(self._datastore, self._run, self._request.step, left, exception)
        return self._commit({**last, **outcome}, exception, cancelled=False)

    def _death(self, end: ProcessEnd) -> dict[str, Any]:
        if end.timed_out and self._message is not None:
            text = time_limit.message(self._request.step, self._message["timeout"])
            return as_exception(TimeoutException(text))
        return describe_death(end)

    def _commit(
        self, last: Mapping[str, Any], exception: dict[str, Any] | None, *, cancelled: bool
    ) -> TaskResult:
        """Store the logs, then the manifest: its being there is the commit.

        Args:
            last: the process's last message, or what stands for it.
            exception: why the attempt failed, caught or not; None if nothing did.
            cancelled: whether it was ended from outside.
        """
        request = self._request
        is_done = exception is None or last.get("status") == DONE
        if not is_done and exception is not None:
            self._log.add("stderr", exception["traceback"].encode("utf-8", "backslashreplace"))
        manifest = self._manifest(last, exception, DONE if is_done else "failed")
        self._log.store(
            self._datastore.storage,
            request.flow,
            request.run_id,
            request.step,
            task_id(request.indices),
            request.attempt,
        )
        manifest["cards"] = self._cards.store(manifest)
        write_task_manifest(self._datastore.storage, manifest)
        return TaskResult(is_done, manifest, exception, cancelled and exception is not None)

    def _manifest(
        self, last: Mapping[str, Any], exception: Mapping[str, Any] | None, status: str
    ) -> dict[str, Any]:
        request = self._request
        environment = self._run["environments"].get(request.step)
        return {
            "version": 1,
            "flow": request.flow,
            "run_id": request.run_id,
            "step": request.step,
            "task_id": task_id(request.indices),
            "attempt": request.attempt,
            "split_name": self._split_name,
            "status": status,
            "started": self._started,
            "finished": None if status == "running" else _now(),
            "artifacts": last.get("artifacts", {}),
            "transition": last.get("transition"),
            "exception": exception,
            "environment": environment["id"] if environment else None,
            "python": last.get("python") or (environment["python"] if environment else None),
        }


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")
