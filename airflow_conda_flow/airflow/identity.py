"""Conversion of Airflow's names and numbers of runs and tries into ours."""

from __future__ import annotations

from airflow_conda_flow.records.dag_names import dag_id_of, flow_run_id

__all__ = ["attempt_of", "dag_id_of", "first_attempt_of", "flow_run_id", "state_name"]


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


def state_name(task_id: str, map_index: int | None) -> str:
    """Name of a task in Airflow's answer about states of tasks, where a mapped task has its index.

    >>> state_name("train", -1), state_name("train", 0)
    ('train', 'train_0')
    """
    return task_id if map_index is None or map_index < 0 else f"{task_id}_{map_index}"
