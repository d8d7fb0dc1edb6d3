"""Facts about the DAG run for steps: ``current.logical_date``, ``current.dag_run_conf`` and others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.airflow.sdk import redact
from airflow_conda_flow.client.past_task import Task
from airflow_conda_flow.flow.trigger_events import FINISHED

if TYPE_CHECKING:
    from airflow.sdk import Context


def run_values(context: Context) -> dict[str, Any]:
    """Values for ``current``, as JSON for the run manifest; times are ISO 8601 in UTC.

    Values in the conf that Airflow would mask in a log are ``***``, because the manifest must not contain
    secrets.

    Args:
        context: Airflow's context of the prepare task.
    """
    run: Any = context["dag_run"]
    return {
        "trigger": _trigger(context.get("triggering_asset_events") or {}),
        "dag_id": run.dag_id,
        "dag_run_id": run.run_id,
        "dag_run_conf": redact(run.conf or {}),
        "logical_date": _text(run.logical_date),
        "data_interval_start": _text(run.data_interval_start),
        "data_interval_end": _text(run.data_interval_end),
    }


def _trigger(events: Mapping[Any, Iterable[Any]]) -> list[dict[str, Any]] | None:
    """Events that started the run, the newest first; None if a person or the clock started it.

    An event that one of our flows emitted when it finished has the names of its last task in ``extra``; the
    task's pathspec becomes the event's id.
    """
    found = []
    for asset, happened in events.items():
        name = getattr(asset, "name", str(asset))
        for event in happened:
            extra = event.extra or {}
            ended = [str(extra[key]) for key in ("flow", "run_id", "step", "task_id") if key in extra]
            is_run = name.startswith(FINISHED) and len(ended) == Task.depth
            moment = _text(event.timestamp)
            found.append(
                {
                    "name": name,
                    "id": "/".join(ended) if is_run else f"{name}@{moment}",
                    "timestamp": moment,
                    "type": "run" if is_run else "event",
                }
            )
    return sorted(found, key=lambda each: str(each["timestamp"]), reverse=True) or None


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(timezone.utc).isoformat(timespec="microseconds")
