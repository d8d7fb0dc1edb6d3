"""Airflow's names for a run and a task, turned into ours."""

from __future__ import annotations

import hashlib
import re

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_READABLE = 120  # a run id is a directory name; Airflow's has up to 250 characters


def flow_run_id(dag_id: str, dag_run_id: str) -> str:
    """Our run id of a DAG run: readable, safe in paths, and different for different DAG runs.

    >>> flow_run_id("linear_flow", "manual__2026-11-24T02:00:00+00:00")
    'manual__2026-11-24T02-00-00-00-00-58c39ee0'
    """
    digest = hashlib.sha256(f"{dag_id}\0{dag_run_id}".encode()).hexdigest()
    return f"{_UNSAFE.sub('-', dag_run_id)[:_READABLE]}-{digest[:8]}"


def attempt_of(try_number: int, first_attempt: int = 0) -> int:
    """Our attempt, from 0, of Airflow's try number, from 1.

    Args:
        try_number: the task instance's.
        first_attempt: what ``runner.run_preparation.first_attempt`` gave for the run.
    """
    return first_attempt + max(0, try_number - 1)


def dag_id_of(flow_name: str) -> str:
    """The id of a flow's DAG where none is given.

    >>> dag_id_of("LinearFlow"), dag_id_of("HTTPFlow2")
    ('linear_flow', 'http_flow2')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", flow_name)
    return spaced.lower()
