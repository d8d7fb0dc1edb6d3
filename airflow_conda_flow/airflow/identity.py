"""Conversion of Airflow's names and numbers of runs and tries into ours."""

from __future__ import annotations

from airflow_conda_flow.records.dag_names import dag_id_of, flow_run_id

__all__ = ["attempt_of", "dag_id_of", "flow_run_id"]


def attempt_of(try_number: int, first_attempt: int = 0) -> int:
    """Our attempt (counted from 0) of Airflow's try number (counted from 1).

    Args:
        try_number: the task instance's try number.
        first_attempt: the run's ``first_attempt``: above 0 if Airflow has created the run again under its
            old id.
    """
    return first_attempt + max(0, try_number - 1)
