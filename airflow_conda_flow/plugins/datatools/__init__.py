"""``airflow_conda_flow.datatools`` under Metaflow's name."""

from airflow_conda_flow.datatools.s3 import S3

__all__ = ["S3"]
