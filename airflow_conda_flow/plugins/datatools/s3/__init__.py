"""``airflow_conda_flow.datatools.s3`` under Metaflow's name."""

from airflow_conda_flow.datatools.s3 import *  # noqa: F403 - that module says what it offers
from airflow_conda_flow.datatools.s3 import __all__  # noqa: F401 - for those that import all of it too
