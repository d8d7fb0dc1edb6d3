"""Facts about a task, under Metaflow's names."""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any, NamedTuple

    from airflow_conda_flow.client.past_task import Task
    from airflow_conda_flow.records.run_record import RunRecord
    from airflow_conda_flow.records.task_record import TaskRecord

    class Metadata(NamedTuple):
        """One fact about a task."""

        name: str
        value: str
        created_at: datetime
        type: str
        task: Task

else:
    Metadata = namedtuple("Metadata", ["name", "value", "created_at", "type", "task"])


def task_metadata(task: "Any") -> "list[Metadata]":
    """All known facts about a task, one ``Metadata`` each."""
    record: TaskRecord = task._record()
    run: RunRecord = task._run_record()
    kind, _, root = task._catalogue.call("describe", []).partition("@")
    origin = record.ran_as.task.run_id if record.is_clone else run.origin_run_id
    attempts = range(run.first_attempt, record.attempt + 1)
    code = run.code if record.run_record is None else record.run_record["code"]
    facts = {
        "attempt_ok": record.is_done,
        "user": run.username,
        "runtime": task.runtime_name,
        "ds-type": kind,
        "ds-root": root,
        "script-name": code["flow_file"],
        "code-package-sha": code["sha256"],
        "python_version": record.python,
        "environment": record.environment,
        "split-name": record.split_name,
        "rounds": max((int(name.split()[-1]) for name in record.rounds), default=None),
        "origin-run-id": origin,
        "origin-task-id": task.id if record.is_clone else None,
    }
    facts.update(("%s-seconds" % name.replace(" ", "-"), took) for name, took in record.rounds.items())
    return [
        Metadata(name, str(value), task.finished_at, name, task)
        for name, value in [("attempt", number) for number in attempts] + list(facts.items())
        if value is not None
    ]
