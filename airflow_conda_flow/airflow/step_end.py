"""How an attempt's result ends its Airflow task; workers and the triggerer ask the same function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.errors import NotAsPrepared, TaskFailed, TaskLost
from airflow_conda_flow.records.run_record import RunRecord
from airflow_conda_flow.records.shapes import ExceptionRecord
from airflow_conda_flow.runner.attempt import caught_outside
from airflow_conda_flow.runner.caught_failure import is_hopeless
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult

# The XCom with which a task of Airflow tells the scheduler which tasks after it to skip. Airflow's own branch
# operators write it too: airflow/ti_deps/deps/not_previously_skipped_dep.py. The scheduler skips them itself,
# for each index of a mapped task, so that an arm that was not chosen starts no worker.
SKIP_KEY = "skipmixin_key"
_OURS = (TaskFailed.__name__, TaskLost.__name__, NotAsPrepared.__name__)
"""Failures of our own, whose message says everything, without a traceback."""


@dataclass(frozen=True)
class StepEnd:
    """Report to Airflow about an attempt.

    Attributes:
        result: the result that counts: that of the attempt, or of ``@catch``.
        may_retry: True if Airflow should try again: the step may fail once more, or the attempt was lost.
    """

    result: TaskResult
    may_retry: bool

    @classmethod
    def of(
        cls,
        request: TaskRequest,
        run: RunRecord,
        datastore: Datastore,
        result: TaskResult,
        say: Callable[[str], None],
        ends_here: bool,
    ) -> StepEnd:
        """Apply ``@catch`` where the runner could not, and decide about another try.

        Args:
            request: the attempt; ``is_last`` says if the step may fail once more.
            run: the run's record.
            datastore: where the run is stored.
            result: result of the attempt.
            say: called with each line that is to be printed.
            ends_here: True if Airflow does not try again, whatever the failure is.
        """
        if result.ok:
            return cls(result, may_retry=False)
        lost = result.record.is_lost
        is_last = ends_here if lost else request.is_last
        if not result.cancelled:
            result = caught_outside(replace(request, is_last=is_last), run, datastore, result, say)
        hopeless = is_hopeless(result.exception)
        return cls(result, may_retry=not result.ok and not is_last and not hopeless)

    @property
    def ok(self) -> bool:
        """True if the run can continue."""
        return self.result.ok

    @property
    def is_ours(self) -> bool:
        """True if the failure is one of ours, such as a lost pod, and not an exception of the step."""
        exception = self.result.exception
        return exception is None or exception["type"] in _OURS


def failure_text(step: str, exception: ExceptionRecord) -> str:
    """Message about a failed step, in one line."""
    kind, message = exception["type"], exception["message"]
    return f"Step {step} failed: {message}" if kind in _OURS else f"Step {step} failed: {kind}: {message}"


def skipped_value(tasks: Sequence[str]) -> dict[str, list[str]]:
    """Value of the XCom ``SKIP_KEY`` that skips these tasks."""
    return {"skipped": list(tasks)}
