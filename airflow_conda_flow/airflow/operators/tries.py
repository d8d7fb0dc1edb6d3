"""A try of a task by Airflow: its run, and what the datastore knows of the tries before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult

if TYPE_CHECKING:
    from airflow_conda_flow.datastore.datastore import Datastore
    from airflow_conda_flow.environments.environments import Environments
    from airflow_conda_flow.records.run_record import RunRecord
    from airflow_conda_flow.records.task_record import TaskRecord
    from airflow_conda_flow.settings.loading import Settings


@dataclass(frozen=True)
class Opened:
    """The run of a task, and where it is; the splits of a block share it.

    Attributes:
        run: the run's record.
        run_sha256: its digest, as the prepare task returned it; None if it is not known.
        datastore: the datastore of the settings.
        environments: the environments of this machine.
        settings: the settings in force.
    """

    run: RunRecord
    run_sha256: str | None
    datastore: Datastore
    environments: Environments
    settings: Settings


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
        return sum(map(is_failure, self.records)) > self.user_retries

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
        failures = sum(is_failure(record) for record in self.records if record.attempt < attempt)
        is_last = failures >= self.user_retries
        return replace(self, request=replace(self.request, attempt=attempt, is_last=is_last))


def is_failure(record: TaskRecord) -> bool:
    """True if the step itself has failed in the attempt."""
    return not record.is_done and not record.is_lost


def why_again(record: TaskRecord) -> str:
    """How an attempt ended that another one follows."""
    what = "was lost" if record.is_lost else "failed"
    exception = record.exception
    reason = "" if exception is None else f": {exception['type']}: {exception['message']}"
    return f"attempt {record.attempt} {what}{reason}"
