"""Compilation of flows to DAGs; importing it refuses an Airflow that is too old."""

from airflow_conda_flow.airflow.versions import check_airflow_version

check_airflow_version()
