"""The name of a mapped task in Airflow's UI, before the task has ended."""

from __future__ import annotations

from typing import Any

from airflow_conda_flow.airflow.versions import is_at_least


def set_rendered_name(name: str) -> None:
    """Tell Airflow the name of the mapped task that runs in this process; before 3.2 it takes none here."""
    if not is_at_least("3.2"):
        return
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - only in a task
    from airflow.sdk.execution_time.comms import SetRenderedMapIndex  # noqa: PLC0415 - only in a task

    # Airflow has no public way: it renders the name before and after ``execute``, and not when it defers.
    comms: Any = task_runner.SUPERVISOR_COMMS
    comms.send(msg=SetRenderedMapIndex(rendered_map_index=name))
