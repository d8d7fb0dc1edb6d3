"""Conversion of Airflow's names and numbers of runs and tries into ours."""

from __future__ import annotations

import re

from airflow_conda_flow.records.dag_run_names import flow_run_id

__all__ = ["attempt_of", "dag_id_of", "flow_run_id"]


def attempt_of(try_number: int, first_attempt: int = 0) -> int:
    """Our attempt (counted from 0) of Airflow's try number (counted from 1).

    Args:
        try_number: the task instance's try number.
        first_attempt: the run's ``first_attempt``: above 0 if Airflow has created the run again under its
            old id.
    """
    return first_attempt + max(0, try_number - 1)


def dag_id_of(flow_name: str) -> str:
    """Default id of a flow's DAG.

    >>> dag_id_of("LinearFlow"), dag_id_of("HTTPFlow2")
    ('linear_flow', 'http_flow2')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", flow_name)
    return spaced.lower()
