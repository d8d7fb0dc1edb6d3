"""Write a flow once; run every step in its own conda environment, locally or as an Airflow DAG.

Standard library only, Python 3.6 and later: this file is shipped into step environments.
"""

from airflow_conda_flow.flow.batch_decorator import batch
from airflow_conda_flow.flow.conda_decorators import conda, conda_base
from airflow_conda_flow.flow.current_run import current
from airflow_conda_flow.flow.flowspec import FlowSpec
from airflow_conda_flow.flow.kubernetes_decorator import kubernetes
from airflow_conda_flow.flow.parameters import JSONType, Parameter
from airflow_conda_flow.flow.resources_decorator import resources
from airflow_conda_flow.flow.steps import step

__all__ = [
    "FlowSpec",
    "JSONType",
    "Parameter",
    "batch",
    "conda",
    "conda_base",
    "current",
    "kubernetes",
    "resources",
    "step",
]
