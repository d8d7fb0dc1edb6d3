"""What is known of a task, fact by fact, under the names that the field uses."""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any, NamedTuple

    from airflow_conda_flow.client.past_task import Task

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
    """The facts of a task."""
    manifest, run = task.manifest, task._run_record()
    kind, _, root = task._catalogue.call("describe", []).partition("@")
    cloned = manifest.get("cloned_from") or {}
    attempts = range(run.get("first_attempt", 0), manifest["attempt"] + 1)
    facts = {
        "attempt_ok": manifest["status"] == "done",
        "user": run["username"],
        "runtime": task.runtime_name,
        "ds-type": kind,
        "ds-root": root,
        "script-name": run["code"]["flow_file"],
        "code-package-sha": run["code"]["sha256"],
        "python_version": manifest.get("python"),
        "environment": manifest.get("environment"),
        "split-name": manifest.get("split_name"),
        "origin-run-id": cloned.get("run_id") or run.get("origin_run_id"),
        "origin-task-id": task.id if cloned else None,
    }
    return [
        Metadata(name, str(value), task.finished_at, name, task)
        for name, value in [("attempt", number) for number in attempts] + list(facts.items())
        if value is not None
    ]
