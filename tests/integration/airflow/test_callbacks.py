"""The operators of steps as people use them in DAG files."""

from __future__ import annotations

import pytest

from airflow_conda_flow.airflow.operators.step import StepOperator


def tell(_context):
    """Stands for a callback of a user."""


@pytest.mark.parametrize("given", [tell, [tell]])
def test_a_callback_may_be_set_after_the_dag_was_made(given):
    """Alone or in a list, as in the arguments of an operator."""
    task = StepOperator(task_id="a", flow="AFlow", step="a", kind="linear", decorators={})
    task.on_failure_callback = given
    assert task.on_failure_callback == [tell]
