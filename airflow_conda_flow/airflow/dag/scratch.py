"""A DAG that holds the operators of a flow file where the flow's own DAG is not made."""

from __future__ import annotations

from airflow.sdk import DAG


def scratch_dag(dag_id: str) -> DAG:
    """An empty DAG for ``with MyFlow.dag() as dag:``; operators of Airflow want one around them."""
    return DAG(dag_id, schedule=None)
