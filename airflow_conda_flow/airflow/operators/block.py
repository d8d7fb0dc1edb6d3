"""A block of splits as one task of Airflow: each split is run as if a mapped task ran it alone.

A copy of the operator stands for each split. It finds the split's attempt, runs it and judges its end as the
operator of a single split does. This module starts so many at a time, and ends the task when all have ended:

- A try of the block runs the splits that are not done, and uses up their attempts alone.
- The block is tried again as long as one of its splits may be.
- A block that a person has cleared runs the splits that were not done, and those whose inputs are newer than
  they are; a block that was done runs again as a whole.
"""

from __future__ import annotations

import contextlib
import copy
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.airflow.asking import ASKING
from airflow_conda_flow.airflow.block_settings import splits_at_once
from airflow_conda_flow.airflow.failures import as_airflow_error
from airflow_conda_flow.airflow.identity import first_attempt_of
from airflow_conda_flow.airflow.operators.rendered_name import set_rendered_name
from airflow_conda_flow.airflow.sdk import AirflowException, AirflowFailException, AirflowSkipException
from airflow_conda_flow.airflow.splits import Path, block_title, path_text, paths_of
from airflow_conda_flow.airflow.step_end import SKIP_KEY, StepEnd, failure_text, skipped_value
from airflow_conda_flow.datastore.manifests import read_attempt
from airflow_conda_flow.errors import CondaFlowError
from airflow_conda_flow.records.lineage import is_taken
from airflow_conda_flow.records.names import TaskName, task_id
from airflow_conda_flow.runner.fork_servers import ForkServers
from airflow_conda_flow.runner.record_reader import RecordReader
from airflow_conda_flow.runner.task_inputs import gather_inputs

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_conda_flow.airflow.operators.step import StepTask
    from airflow_conda_flow.airflow.operators.tries import Opened
    from airflow_conda_flow.records.run_record import RunRecord
    from airflow_conda_flow.records.task_record import TaskRecord

_BLINK = 0.1
"""Seconds between two looks at ``cancel``, which is no future: ``wait`` does not wake up for it."""
_NAMED = 20
"""Failed splits that the message of the task names; its log names all."""


@dataclass(frozen=True)
class SplitEnd:
    """How the attempt of one split ended.

    Attributes:
        path: index path of the split.
        records: records of its tasks, if it is done: one, or those of the nodes of a ``num_parallel``.
        failure: one line about a failure; None without one.
        may_retry: True if another try may help.
        is_new: True if this try has run the split.
        name: name of the split's value; None if it is not known.
    """

    path: Path
    records: tuple[TaskRecord, ...] = ()
    failure: str | None = None
    may_retry: bool = False
    is_new: bool = False
    name: str | None = None


def run_block(operator: StepTask, context: Context) -> Any:
    """Run the splits of a block that are not done, and end the task.

    Args:
        operator: the operator of the block's task.
        context: Airflow's context of the task.

    Returns:
        the splits that a step after this one is mapped over, if this one opens a foreach.

    Raises:
        AirflowException: a split failed, and may be tried again.
        AirflowFailException: a split failed, and none may be tried again.
        AirflowSkipException: a switch led no split of the block to this step.
        CondaFlowError: the run cannot be read, or a setting is wrong.
    """
    with contextlib.closing(ForkServers()) as servers:
        operator.fork_servers = servers
        return _Block(operator, context).run()


class _Block:
    """One try of a block."""

    def __init__(self, operator: StepTask, context: Context) -> None:
        self._operator = operator
        self._context = context
        self._paths = paths_of(operator.indices)
        self._cancel = operator.begin_cancellable(context)
        self._stop = threading.Event()
        self._is_shut_down = False
        self._ti = _AskedOnce(context["ti"])
        self._revising = threading.Lock()
        self._revised: dict[str, RunRecord] = {}

    def run(self) -> Any:
        operator = self._operator
        title = block_title(operator.indices)
        self._context["split_name"] = title  # type: ignore[typeddict-unknown-key]
        set_rendered_name(title)
        opened = operator.opened(self._context)
        at_once = splits_at_once(opened.settings, remote=operator.is_remote)
        operator.share(opened)
        operator.log.info(
            "%s of step %s: %d splits, %d at a time", title, operator.step, len(self._paths), at_once
        )
        kept = self._kept(opened)
        return self._conclude(opened, self._run_all(opened, kept, at_once))

    # Splits that were done before a person cleared the block.

    def _kept(self, opened: Opened) -> dict[Path, int]:
        """Attempts from before the task was cleared that still count, by split."""
        operator, run = self._operator, opened.run
        cleared_at = first_attempt_of(self._context["ti"].max_tries, operator.retries or 0, run.first_attempt)
        if cleared_at <= run.first_attempt:
            return {}
        newest = {
            path: self._newest(opened, self._task_path(path), range(run.first_attempt, cleared_at))
            for path in self._paths
            if self._is_taken(opened, self._task_path(path))
        }
        done = {path: record for path, record in newest.items() if record is not None and record.is_done}
        if len(done) == len(newest):  # nothing was left to do, so all of it is wanted again
            return {}
        return {
            path: record.attempt
            for path, record in done.items()
            if self._is_newer(opened, record, self._task_path(path))
        }

    def _newest(self, opened: Opened, path: Path, attempts: range) -> TaskRecord | None:
        task = TaskName.at(opened.run.flow, opened.run.run_id, self._operator.step, path)
        found = (read_attempt(opened.datastore.storage, task.attempt(number)) for number in attempts[::-1])
        return next((record for record in found if record is not None), None)

    def _is_taken(self, opened: Opened, path: Path) -> bool:
        reader = RecordReader(opened.datastore.storage, opened.run.flow, opened.run.run_id)
        with contextlib.suppress(LookupError):  # the split's own attempt says what is missing
            return is_taken(opened.run.graph, self._operator.step, path, reader)
        return True

    def _is_newer(self, opened: Opened, record: TaskRecord, path: Path) -> bool:
        """True if a record is newer than what the split reads: nobody has cleared a task before it."""
        reader = RecordReader(opened.datastore.storage, opened.run.flow, opened.run.run_id)
        try:
            gather_inputs(opened.run, self._operator.step, path, reader)
        except LookupError:
            return False
        times = [opened.run.created, *(each.finished or "" for each in reader.read)]
        return (record.started or "") >= max(times)

    def _task_path(self, path: Path) -> Path:
        return self._at(path).index_path()

    # The splits of this try.

    def _run_all(self, opened: Opened, kept: dict[Path, int], at_once: int) -> list[SplitEnd]:
        with ThreadPoolExecutor(at_once, thread_name_prefix="split") as pool:
            futures = [
                pool.submit(self._run_split, self._at(path), opened, path, kept.get(path))
                for path in self._paths
            ]
            waiting: set[Future[SplitEnd]] = set(futures)
            try:
                while waiting:
                    _, waiting = wait(waiting, _BLINK, FIRST_COMPLETED)
                    if self._cancel.is_set() and not self._stop.is_set():
                        self._is_shut_down = self._is_still_wanted()
                        self._stop.set()
            finally:
                # Also after an exception of a signal handler here: leaving the pool waits for every split.
                self._stop.set()
        return [future.result() for future in futures]

    def _is_still_wanted(self) -> bool:
        with ASKING:
            return self._operator.is_still_wanted(self._context)

    def _at(self, path: Path) -> StepTask:
        """Copy of the operator for one split: all of its state, its pod or job too, is the split's own."""
        part = copy.copy(self._operator)
        part.indices = list(path)
        part.tells = False
        part.split_log = _PrefixLog(self._operator.log, path_text(path))
        part.revision = self._revision  # type: ignore[method-assign]
        return part

    def _revision(self, context: Context, run: RunRecord) -> RunRecord:
        """The revision that a cleared block runs: made once for all its splits."""
        with self._revising:
            if run.sha256 not in self._revised:
                self._revised[run.sha256] = self._operator.revision(context, run)
            return self._revised[run.sha256]

    def _run_split(self, part: StepTask, opened: Opened, path: Path, first: int | None) -> SplitEnd:
        """Run one split in this thread; whatever happens is its end."""
        if self._stop.is_set():
            return SplitEnd(path, failure="was not started: the task was ended.", may_retry=True)
        context: Any = {**self._context, "ti": self._ti}
        began = time.monotonic()
        try:
            tried = part.begin(context, opened, first)
            is_new = tried.done is None
            if is_new:
                part.log.info("Attempt %d begins.", tried.request.attempt)
            ends = part.ends(context, tried, self._stop, lambda: self._is_shut_down)
        except AirflowSkipException:
            return SplitEnd(path)
        except CondaFlowError as error:
            raised = as_airflow_error(error)
            return self._failed(part, path, str(raised), not isinstance(raised, AirflowFailException))
        except AirflowException as error:
            return self._failed(part, path, str(error), not isinstance(error, AirflowFailException))
        except Exception as error:
            part.log.exception("The split cannot be run.")
            return self._failed(part, path, f"{type(error).__name__}: {error}", may_retry=True)
        return self._ended(part, path, ends, is_new, time.monotonic() - began)

    def _ended(
        self, part: StepTask, path: Path, ends: Sequence[StepEnd], is_new: bool, seconds: float
    ) -> SplitEnd:
        record = ends[0].result.record
        failed = [each for each in ends if not each.ok]
        if failed:
            # Of the nodes of a num_parallel, one that failed by itself before one that was ended with it.
            end = min(failed, key=lambda each: each.result.cancelled)
            text = failure_text(part.step, part.report_failure(end))
            return self._failed(part, path, text, end.may_retry, record)
        if is_new:
            caught = "" if ends[0].result.exception is None else ", its failure caught"
            part.log.info("Attempt %d is done%s, after %.1f s.", record.attempt, caught, seconds)
        records = tuple(each.result.record for each in ends)
        return SplitEnd(path, records, is_new=is_new, name=record.split_name)

    @staticmethod
    def _failed(
        part: StepTask, path: Path, text: str, may_retry: bool, record: TaskRecord | None = None
    ) -> SplitEnd:
        number = "" if record is None else f"Attempt {record.attempt}: "
        more = "It may be tried again." if may_retry else "It is not tried again."
        part.log.error("%s%s %s", number, text, more)
        name = None if record is None else record.split_name
        return SplitEnd(path, failure=text, may_retry=may_retry, is_new=True, name=name)

    # The end of the task.

    def _conclude(self, opened: Opened, ends: Sequence[SplitEnd]) -> Any:
        operator = self._operator
        done = [each for each in ends if each.records]
        failed = [each for each in ends if each.failure is not None]
        for line in _summary(ends):
            operator.log.info("%s", line)
        if failed:
            self._raise(failed)
        if not done:
            raise AirflowSkipException(
                f"A switch before step {operator.step} chose another way for each split."
            )
        operator.tell_manifests(self._context, [record for each in done for record in each.records])
        chosen = {each.records[0].chosen for each in done}
        if left_out := _left_out(operator.left_out, chosen):
            self._context["ti"].xcom_push(SKIP_KEY, skipped_value(left_out))
        return operator.splits_of([(each.path, each.records[0]) for each in done], opened.settings)

    def _raise(self, failed: Sequence[SplitEnd]) -> None:
        step = self._operator.step
        names = [_named(step, each) for each in failed]
        for name, end in zip(names, failed, strict=True):
            self._operator.log.error("Failed: %s: %s", name, end.failure)
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        kind = AirflowException if any(each.may_retry for each in failed) else AirflowFailException
        raise kind(
            f"{len(failed)} of {len(self._paths)} splits of step {step} failed: "
            f"{', '.join(names[:_NAMED])}{more}."
        )


def _summary(ends: Sequence[SplitEnd]) -> Iterator[str]:
    counts = {
        "done": sum(bool(each.records) and each.is_new for each in ends),
        "done before this try": sum(bool(each.records) and not each.is_new for each in ends),
        "on another way of a switch": sum(not each.records and each.failure is None for each in ends),
        "failed": sum(each.failure is not None for each in ends),
    }
    told = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
    yield f"{len(ends)} splits: {told}."


def _named(step: str, end: SplitEnd) -> str:
    """Name of a split: its task id, and the name of its value."""
    name = task_id(step, end.path)
    return f"{name} ({end.name})" if end.name else name


def _left_out(left_out: Any, chosen: set[str | None]) -> list[str]:
    """Tasks after a switch that no split of the block leads to, by the arms that its splits chose."""
    each = [left_out.get(name or "", ()) for name in chosen]
    return [task for task in each[0] if all(task in others for others in each[1:])] if each else []


class _AskedOnce:
    """Airflow's task instance for many threads: one question at a time, and none of them twice.

    All splits pull the same values, which say what all tasks of a step have written.
    """

    def __init__(self, ti: Any) -> None:
        self._ti = ti
        self._known: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ti, name)

    def xcom_pull(self, *positional: Any, **keywords: Any) -> Any:
        """Value of an XCom, asked for once."""
        key = repr((positional, sorted(keywords.items())))
        with ASKING:
            if key not in self._known:
                self._known[key] = self._ti.xcom_pull(*positional, **keywords)
            return self._known[key]

    def xcom_push(self, *positional: Any, **keywords: Any) -> None:
        """Push an XCom."""
        with ASKING:
            self._ti.xcom_push(*positional, **keywords)


class _PrefixLog:
    """A logger that writes the index path of a split before each line."""

    def __init__(self, log: Any, path: str) -> None:
        self._log = log
        self._prefix = f"[{path}] "

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._log, name)
        if name not in {"debug", "info", "warning", "error", "exception", "critical"}:
            return method
        return lambda message, *values, **more: method(f"{self._prefix}{message}", *values, **more)
