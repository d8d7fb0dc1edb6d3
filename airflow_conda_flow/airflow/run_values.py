"""What a step may know of its DAG run: ``current.logical_date``, ``current.dag_run_conf`` and the like."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk.log import redact  # type: ignore[attr-defined]  # where Airflow's own operators take it

if TYPE_CHECKING:
    from airflow.sdk import Context


def run_values(context: Context) -> dict[str, Any]:
    """Values for ``current``, as JSON for the run's manifest; times are in UTC.

    Of the conf, what Airflow would hide in a log is ``***``: the manifest is no place for secrets.

    Args:
        context: the prepare task's.
    """
    run: Any = context["dag_run"]
    return {
        "dag_id": run.dag_id,
        "dag_run_id": run.run_id,
        "dag_run_conf": redact(run.conf or {}),
        "logical_date": _text(run.logical_date),
        "data_interval_start": _text(run.data_interval_start),
        "data_interval_end": _text(run.data_interval_end),
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(timezone.utc).isoformat(timespec="microseconds")
