"""``load_flows``, where DAG files import it from."""

from __future__ import annotations

from airflow_conda_flow.airflow.dag.loader import load_flows

__all__ = ["load_flows"]
