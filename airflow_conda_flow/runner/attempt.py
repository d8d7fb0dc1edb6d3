"""Runs one attempt of one task, from outside its environment: gather, run, publish, commit."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.datastore import code_package
from airflow_conda_flow.datastore.catalogue import RunCatalogue
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.datastore.keeping import signs_of_life
from airflow_conda_flow.datastore.manifests import read_run_manifest, write_task_manifest
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.file_mutex import shared, use_of
from airflow_conda_flow.environments.stopping import Stopped
from airflow_conda_flow.errors import CondaFlowError, NotAsPrepared, TaskFailed, TimeoutException
from airflow_conda_flow.runner import caught_failure, secret_values
from airflow_conda_flow.runner.attempt_cards import AttemptCards
from airflow_conda_flow.runner.attempt_log import AttemptLog, shown
from airflow_conda_flow.runner.attempt_record import AttemptRecord, as_exception
from airflow_conda_flow.runner.code_sources import CodeSources
from airflow_conda_flow.runner.fork_servers import ForkServers
from airflow_conda_flow.runner.machine_refusal import refusal_line
from airflow_conda_flow.runner.main_node import THIS_MACHINE, main_address
from airflow_conda_flow.runner.mask import Mask
from airflow_conda_flow.runner.process_death import describe_death
from airflow_conda_flow.runner.record_reader import RecordReader
from airflow_conda_flow.runner.runtime_root import runtime_root
from airflow_conda_flow.runner.s3_service import S3Service
from airflow_conda_flow.runner.step_environ import (
    CREDENTIALS,
    conda_command,
    conda_environ,
    plain_command,
    torch_environ,
    without_credentials,
)
from airflow_conda_flow.runner.step_process import ProcessEnd, run_step_process
from airflow_conda_flow.runner.story import Story
from airflow_conda_flow.runner.task_inputs import TaskInputs, checked_inputs
from airflow_conda_flow.runner.task_message import leads_back, next_round, task_message
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult
from airflow_conda_flow.runtime import main as runtime_main
from airflow_conda_flow.runtime import protocol, time_limit
from airflow_conda_flow.settings.variables import TEMPDIR

if TYPE_CHECKING:
    from airflow_conda_flow.records.run_record import RunRecord
    from airflow_conda_flow.records.shapes import (
        Answer,
        ArtifactRef,
        AskMessage,
        ExceptionRecord,
        StepMessage,
        TaskMessage,
    )
    from airflow_conda_flow.records.task_record import TaskRecord

# Publishing a small file to a local datastore, a hash and a hard link, costs less than handing the file to a
# thread. For files of this size and above the step does not wait.
_PUBLISHED_AT_ONCE = 1024 * 1024
_NO_CREDENTIALS = (
    "A step does not get the credentials that its runner has: %s. Write @aws_credentials above the step %r "
    "to give them to it; S3(run=self) needs none."
)


@dataclass(frozen=True)
class Surroundings:
    """Overrides where an attempt reads its inputs and past runs; used by ``spin``.

    Attributes:
        record_of: reads the records of the tasks before it.
        catalogue: answers the requests of the client in the step.
    """

    record_of: RecordReader
    catalogue: RunCatalogue


Output = Callable[[str, str], None]
"""Function that is called with ``stdout`` or ``stderr`` and a line without its newline."""


def run_attempt(
    request: TaskRequest,
    datastore: Datastore,
    environments: Environments,
    output: Output,
    on_start: Callable[[int], None] = lambda _pid: None,
    cancel: threading.Event | None = None,
    keepers: Mapping[str, secret_values.Keeper] | None = None,
    surroundings: Surroundings | None = None,
    servers: ForkServers | None = None,
    *,
    step_credentials: bool = False,
    on_commit: Callable[[TaskRecord], None] = lambda _record: None,
) -> TaskResult:
    """Run one attempt in the calling thread and commit its manifest, done or failed.

    If the step fails or its environment cannot be made, the result states the failure; nothing is raised.

    Args:
        request: the attempt.
        datastore: where inputs are read and outputs are stored.
        environments: makes the step's environment.
        output: called with each line that the step prints, while it runs.
        on_start: called with the pid of the step process.
        cancel: when set, the attempt ends early.
        keepers: keepers of secrets by type; they take precedence over ``secret_values.KEEPERS``.
        surroundings: where the attempt reads its inputs; its own run if None.
        servers: the fork servers that may start the step process.
        step_credentials: whether the step gets the credentials for AWS that this process has in environment
            variables; if not, ``@aws_credentials`` gives them to it.
        on_commit: called with the record before it is stored.

    Raises:
        NotAsPrepared: the run's manifest is not the one that the run was prepared with.
        DatastoreError: the manifests cannot be read or written.
    """
    run = request.run or read_run_manifest(
        datastore.storage, request.flow, request.run_id, request.run_sha256
    )
    if surroundings is None:
        reader = RecordReader(datastore.storage, request.flow, request.run_id)
        surroundings = Surroundings(reader, RunCatalogue(datastore))
    attempt = _Attempt(
        request,
        run,
        datastore,
        environments,
        output,
        keepers or {},
        surroundings,
        servers,
        step_credentials,
        on_commit,
    )
    with signs_of_life(datastore.storage, request.flow, request.run_id):
        return attempt.run(on_start, cancel or threading.Event())


def caught_outside(
    request: TaskRequest,
    run: RunRecord,
    datastore: Datastore,
    result: TaskResult,
    say: Callable[[str], None],
) -> TaskResult:
    """Apply ``@catch`` to an attempt whose pod or job ended together with its runner.

    Only a failed last attempt of a step with ``@catch`` changes: a done record is committed for it. Any other
    result is returned as it is, also if the attempt cannot have started.

    Args:
        request: the attempt.
        run: the run's record.
        datastore: where the run is stored.
        result: result of the attempt.
        say: called with each line that is to be printed.

    Returns:
        the result that counts.
    """
    exception = result.exception or as_exception(TaskFailed("No reason is known."))
    if result.ok or not request.is_last or not caught_failure.is_caught(run, request.step, exception):
        return result
    try:
        attempt = AttemptRecord.from_outside(request, run, datastore.storage)
    except (LookupError, NotAsPrepared):
        return result
    record = attempt.caught(exception, caught_failure.stored(datastore, run, request.step, exception))
    record = attempt.commit_from_outside(datastore.storage, record)
    for line in caught_failure.lines(run, request.step, exception):
        say(line)
    return TaskResult(ok=True, record=record, exception=exception)


class _Attempt:
    """One attempt while it runs; also the ``Exchange`` of its step process."""

    def __init__(
        self,
        request: TaskRequest,
        run: RunRecord,
        datastore: Datastore,
        environments: Environments,
        output: Output,
        keepers: Mapping[str, secret_values.Keeper],
        surroundings: Surroundings,
        servers: ForkServers | None,
        step_credentials: bool,
        on_commit: Callable[[TaskRecord], None],
    ) -> None:
        self._request = request
        self._on_commit = on_commit
        self._servers = servers
        self._withheld: list[str] = []
        self._keeps_credentials = not (
            step_credentials or "aws_credentials" in run.decorators_of(request.step)
        )
        self._surroundings = surroundings
        self._run = run
        self._datastore = datastore
        self._environments = environments
        self._output = output
        self._keepers = keepers
        self._mask = Mask()
        self._story = Story((lambda line: output("stderr", line)) if request.tells else None)
        self._attempt = AttemptRecord(request, run, self._story.seconds)
        self._publishing: list[Future[None]] = []
        self._publisher: ThreadPoolExecutor | None = None
        self._message: TaskMessage | None = None
        self._uses = ExitStack()
        self._cards = AttemptCards(
            datastore.storage,
            run.decorators_of(request.step).get("card", []),
            run.parameters,
            self._mask.data,
        )

    def run(self, on_start: Callable[[int], None], cancel: threading.Event) -> TaskResult:
        scratch = self._datastore.artifacts.scratch_dir()
        self._log = AttemptLog(scratch)
        self._s3 = S3Service(self._datastore.storage, scratch)
        try:
            return self._run_and_commit(scratch, on_start, cancel)
        finally:
            self._uses.close()
            self._s3.close()
            self._log.close()
            shutil.rmtree(scratch, ignore_errors=True)

    def _run_and_commit(
        self, scratch: Path, on_start: Callable[[int], None], cancel: threading.Event
    ) -> TaskResult:
        try:
            try:
                end = self._run_process(scratch, on_start, cancel)
                with self._story.phase("artifacts"):
                    self._finish_publishing()
            finally:
                if self._publisher is not None:
                    self._publisher.shutdown()
        except Stopped:
            error = TaskFailed("The task was ended before its step began.")
            return self._fail(as_exception(error), cancelled=True)
        except CondaFlowError as error:
            # Failures outside the step are results too. Any other exception is a bug and is not hidden.
            return self._fail(as_exception(error), cancelled=cancel.is_set())
        except OSError as error:
            return self._fail(as_exception(TaskFailed(refusal_line(error))), cancelled=cancel.is_set())
        if end.last is None:
            return self._fail(self._death(end), cancelled=end.cancelled)
        if end.last["type"] == "failed":
            last = end.last
            if self._withheld and last["exception"]["type"].endswith("NoCredentialsError"):
                self._say(_NO_CREDENTIALS % (", ".join(self._withheld), self._request.step))
            return self._fail(
                last["exception"], cancelled=end.cancelled, left=last.get("artifacts"), python=last["python"]
            )
        record = self._attempt.done(
            self._mask.artifacts(end.last["artifacts"]),
            self._mask.transition(end.last["transition"]),
            end.last["python"],
        )
        return TaskResult(ok=True, record=self._commit(record))

    def _run_process(
        self, scratch: Path, on_start: Callable[[int], None], cancel: threading.Event
    ) -> ProcessEnd:
        request, run = self._request, self._run
        # The inputs come first: if anything after them fails, the record still states the facts that they
        # give, and ``@catch`` can act.
        with self._story.phase("inputs"):
            inputs = self._attempt.inputs = self._inputs()
        self._story.begin(request, run, inputs)
        with self._story.phase("code"):
            stored_dir = self._used(
                lambda: code_package.extract(
                    self._datastore.storage, run.code["sha256"], self._datastore.cache_dir, self._say
                )
            )
        main_ip = THIS_MACHINE
        if request.is_elsewhere and run.graph.is_in_gang(request.step):
            with self._story.phase("main node"):
                main_ip = main_address(self._datastore.storage, request, cancel)
        # The variable is set where the step has a tmpfs for its temporary files, on Kubernetes and Batch.
        tempdir = Path(tempfile.mkdtemp("", "task-", os.environ.get(TEMPDIR) or scratch))
        self._message = task_message(
            request,
            run,
            inputs,
            sources=request.sources or CodeSources(stored_dir),
            stored_dir=stored_dir,
            scratch=scratch,
            tempdir=tempdir,
            s3={"socket": self._s3.path, "root": run.datatools_root, "scratch": str(scratch)},
            main_ip=main_ip,
        )
        with self._story.phase("environment"):
            command, environ = self._command(cancel)
        environ = self._with_variables(self._without_credentials(environ), self._message["current"])
        # In a container the files of the code package are where a relative path leads, as in Metaflow.
        run_process = partial(
            run_step_process,
            command,
            environ,
            exchange=self,
            on_start=on_start,
            cancel=cancel,
            directory=stored_dir if request.is_elsewhere else None,
            servers=self._servers,
        )
        with self._story.phase("step"):
            return self._rounds(run_process, cancel)

    def _rounds(self, run_process: Callable[..., ProcessEnd], cancel: threading.Event) -> ProcessEnd:
        """Run the step's process, and again as long as the step leads back to itself.

        Args:
            run_process: runs a process; takes the message for it as ``task``.
            cancel: when set, no further round begins.
        """
        message = self._message
        if message is None:
            raise RuntimeError("A step is run before its message is made.")
        # Only a step that leads back to itself has rounds, so that all others have no first one either.
        is_loop = self._request.step in message["node"]["out_steps"]
        numbers = itertools.count(1)
        with self._story.round(next(numbers)) if is_loop else contextlib.nullcontext():
            end = run_process(task=message)
        while (done := leads_back(self._request.step, end.last)) and not cancel.is_set():
            # The next round reads these artifacts, and ``next_round`` removes the directory they come from.
            self._finish_publishing()
            self._message = message = next_round(message, done)
            with self._story.round(next(numbers)):
                end = run_process(task=message)
        return end

    def _inputs(self) -> TaskInputs:
        request = self._request
        try:
            return checked_inputs(request, self._run, self._surroundings.record_of)
        except LookupError as error:
            raise TaskFailed(f"Task {request.task.task_id} cannot start: {error}") from error

    def _without_credentials(self, environ: Mapping[str, str] | None) -> Mapping[str, str] | None:
        """The given variables, None for those of this process, without credentials that the runner keeps."""
        given = os.environ if environ is None else environ
        self._withheld = sorted(CREDENTIALS & given.keys()) if self._keeps_credentials else []
        return without_credentials(given) if self._withheld else environ

    def _with_variables(
        self, environ: Mapping[str, str] | None, current: Mapping[str, Any]
    ) -> Mapping[str, str] | None:
        """Environment variables of the step: the given ones, then those of its decorators.

        They are ``@pytorch_parallel``, ``@environment`` and ``@secrets``, in this order.

        Args:
            environ: the given ones; None for those of this process.
            current: values of ``current`` in the step.
        """
        decorators = self._run.decorators_of(self._request.step)
        if not decorators.keys() & {"environment", "pytorch_parallel", "secrets"}:
            return environ
        torch = decorators.get("pytorch_parallel")
        gang = torch_environ(torch, current["parallel"], current["run_id"]) if torch is not None else {}
        stated = decorators.get("environment", {}).get("vars", {})
        values = {
            **(os.environ if environ is None else environ),
            **gang,
            **{name: value for name, value in stated.items() if value is not None},
        }
        for name in sorted(stated.keys() - values.keys()):
            self.line(
                "stderr",
                f"@environment: {name} is None, and not set where the step runs. It stays unset.\n".encode(),
            )
        secrets = secret_values.resolve(decorators, values, self._keepers)
        self._mask.hide(secrets.values())
        return {**values, **secrets}

    def _command(self, cancel: threading.Event) -> tuple[list[str], Mapping[str, str] | None]:
        environment = self._run.environment_of(self._request.step)
        if environment is None and self._request.python in {None, sys.executable}:
            # This interpreter has the package installed; a copy of it on ``sys.path`` would be redundant.
            return plain_command(sys.executable, Path(runtime_main.__file__)), None
        root = self._used(lambda: runtime_root(self._datastore.cache_dir))
        main = root / "airflow_conda_flow" / "runtime" / "main.py"
        if environment is None:
            return plain_command(str(self._request.python), main), None
        self._story.making_environment()
        prefix = self._used(lambda: self._environments.prefix_of_run(environment, cancel))
        return conda_command(prefix, main), conda_environ(os.environ, prefix)

    def _used(self, make: Callable[[], Path]) -> Path:
        """Folder of the cache that a function gives; a prune of the cache leaves it for the whole attempt."""
        while True:
            folder = make()
            self._uses.enter_context(shared(use_of(folder)))
            if folder.is_dir():  # else a prune removed it before it was held
                return folder

    # The exchange.

    def answer(self, message: StepMessage) -> Answer | None:
        """Handle a message of the step process; returns the answer if the message has one."""
        if message["type"] == "publish":
            self._publish(Path(message["path"]), message["sha256"], message["size"])
            return None
        if message["type"] == "ask":
            return self._told(message)
        if message["type"] == "cards":
            self._cards.take(message, self._attempt.running())
            return None
        if message["type"] != "fetch":
            raise ValueError(f"A runner does not answer {message['type']!r}.")
        try:
            path = self._datastore.artifacts.fetch(message["sha256"], message["size"], self._say)
        except CondaFlowError as error:
            return protocol.error(str(error))
        return protocol.artifact(str(path))

    def _told(self, message: AskMessage) -> Answer:
        try:
            # A user's card class renders inside the step process and may read an artifact of the step that
            # is still being published.
            if message["call"] == "artifact":
                self._finish_publishing()
            return protocol.answer(self._surroundings.catalogue.call(message["call"], message["arguments"]))
        except CondaFlowError as error:
            return protocol.error(str(error), type(error).__name__)

    def _say(self, text: str) -> None:
        self.line("stderr", text.encode("utf-8", "backslashreplace") + b"\n")

    def line(self, stream: str, data: bytes) -> None:
        """Add a line to the log and pass it on, with secrets masked."""
        self.lines(stream, [data])

    def lines(self, stream: str, lines: list[bytes]) -> None:
        """Add lines to the log and pass them on, with secrets masked."""
        for line in self._mask.lines(lines, stream):
            self._log.add(stream, line)
            self._output(stream, shown(line))

    def cut(self, data: bytes) -> int:
        """Where an unfinished line may be cut: not within a secret."""
        return self._mask.cut(data)

    def _publish(self, path: Path, sha256: str, size: int) -> None:
        """Publish an artifact: small local files now, others in a thread, while the step keeps pickling."""
        if size < _PUBLISHED_AT_ONCE and self._datastore.storage.kind == "local":
            self._datastore.artifacts.publish(path, sha256)
            return
        if self._publisher is None:
            # Few threads: an upload of a large file to S3 is itself done in parallel parts.
            self._publisher = ThreadPoolExecutor(4, thread_name_prefix="publish")
        self._publishing.append(self._publisher.submit(self._datastore.artifacts.publish, path, sha256))

    def _finish_publishing(self) -> None:
        for future in self._publishing:
            future.result()
        self._publishing.clear()

    # The commit.

    def _fail(
        self,
        exception: ExceptionRecord,
        *,
        cancelled: bool,
        left: dict[str, ArtifactRef] | None = None,
        python: str | None = None,
    ) -> TaskResult:
        """Commit a failed attempt: as failed, or as done if ``@catch`` applies.

        Args:
            exception: the failure.
            cancelled: whether the attempt was ended from outside.
            left: artifacts that a step under ``@catch`` passes on, if its process could still report them.
            python: version of Python that the step ran on, if reported.
        """
        exception = self._mask.exception(exception)
        step = self._request.step
        is_caught = self._request.is_last and caught_failure.is_caught(self._run, step, exception)
        # ``@catch`` is for failures of the step: it does not act when the run was cancelled, and it cannot
        # without the inputs that it passes on.
        if cancelled or not is_caught or self._attempt.inputs is None:
            self._log.add("stderr", exception["traceback"].encode("utf-8", "backslashreplace"))
            record = self._commit(self._attempt.failed(exception, python))
            return TaskResult(ok=False, record=record, exception=exception, cancelled=cancelled)
        if left is None and self._message is not None:
            left = self._message["namespace"]  # of the latest round, if the step leads back to itself
        left = None if left is None else self._mask.artifacts(left)
        for line in caught_failure.lines(self._run, step, exception):
            self.line("stderr", line.encode("utf-8", "backslashreplace") + b"\n")
        added = caught_failure.stored(self._datastore, self._run, step, exception)
        record = self._commit(self._attempt.caught(exception, added, left, python))
        return TaskResult(ok=True, record=record, exception=exception)

    def _death(self, end: ProcessEnd) -> ExceptionRecord:
        if end.timed_out and self._message is not None and self._message["timeout"] is not None:
            text = time_limit.message(self._request.step, self._message["timeout"])
            return as_exception(TimeoutException(text))
        return describe_death(end)

    def _commit(self, record: TaskRecord) -> TaskRecord:
        """Store logs and cards, then the record. The order matters: the record's presence is the commit."""
        self._log.store(self._datastore.storage, self._request.name)
        record = record.with_cards(self._cards.store(record))
        self._on_commit(record)
        write_task_manifest(self._datastore.storage, record)
        self._story.end(record, self._attempt.inputs)
        return record
