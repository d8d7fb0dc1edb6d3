"""Conversion of Airflow's names and numbers of runs and tries into ours."""

from __future__ import annotations

import hashlib
import re

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
# Characters of Airflow's run id that ours keeps. A run id is the name of a directory, which has 255 bytes
# at most, and Airflow's may have 250 characters.
_READABLE = 120


def flow_run_id(dag_id: str, dag_run_id: str) -> str:
    """Our run id of a DAG run: readable, safe in paths, and unique for each DAG run through its digest.

    >>> flow_run_id("linear_flow", "manual__2026-11-24T02:00:00+00:00")
    'manual__2026-11-24T02-00-00-00-00-58c39ee0'
    """
    digest = hashlib.sha256(f"{dag_id}\0{dag_run_id}".encode()).hexdigest()
    return f"{_UNSAFE.sub('-', dag_run_id)[:_READABLE]}-{digest[:8]}"


def attempt_of(try_number: int, first_attempt: int = 0) -> int:
    """Our attempt (counted from 0) of Airflow's try number (counted from 1).

    Args:
        try_number: the task instance's try number.
        first_attempt: the run's ``first_attempt``: above 0 if Airflow has created the run again under its
            old id.
    """
    return first_attempt + max(0, try_number - 1)


def first_attempt_of(max_tries: int, retries: int, first_attempt: int = 0) -> int:
    """Our first attempt since the task was last cleared.

    Airflow starts with ``max_tries`` equal to the operator's ``retries``. Clearing a task adds the tries that
    it has had, so that it has all its retries again.

    Args:
        max_tries: the task instance's.
        retries: the operator's.
        first_attempt: the run's ``first_attempt``.

    >>> first_attempt_of(2, 2), first_attempt_of(5, 2)
    (0, 3)
    """
    return first_attempt + max(0, max_tries - retries)


def dag_id_of(flow_name: str) -> str:
    """Default id of a flow's DAG.

    >>> dag_id_of("LinearFlow"), dag_id_of("HTTPFlow2")
    ('linear_flow', 'http_flow2')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", flow_name)
    return spaced.lower()
