"""Write a flow once; run every step in its own conda environment, locally or as an Airflow DAG.

Standard library only, Python 3.6 and later: this file is shipped into step environments. The client
(``Flow``, ``Run``, ...) is loaded by the first use of one of its names.
"""

import sys

from airflow_conda_flow.flow.batch_decorator import batch
from airflow_conda_flow.flow.catch_decorator import catch
from airflow_conda_flow.flow.conda_decorators import conda, conda_base, pypi, pypi_base
from airflow_conda_flow.flow.current_run import current
from airflow_conda_flow.flow.flowspec import FlowSpec
from airflow_conda_flow.flow.kubernetes_decorator import kubernetes
from airflow_conda_flow.flow.parallel_decorator import parallel
from airflow_conda_flow.flow.parameters import JSONType, Parameter
from airflow_conda_flow.flow.resources_decorator import resources
from airflow_conda_flow.flow.retry_decorator import retry
from airflow_conda_flow.flow.steps import step
from airflow_conda_flow.flow.timeout_decorator import timeout

TYPE_CHECKING = False
if TYPE_CHECKING or sys.version_info < (3, 7):
    # Python 3.6 knows no __getattr__ of a module.
    from airflow_conda_flow.client.data_artifact import DataArtifact
    from airflow_conda_flow.client.past_flow import Flow, Metaflow
    from airflow_conda_flow.client.past_run import Run
    from airflow_conda_flow.client.past_step import Step
    from airflow_conda_flow.client.past_task import Task
    from airflow_conda_flow.client.scope import (
        default_metadata,
        default_namespace,
        get_metadata,
        get_namespace,
        metadata,
        namespace,
    )

__all__ = [
    "DataArtifact",
    "Flow",
    "FlowSpec",
    "JSONType",
    "Metaflow",
    "Parameter",
    "Run",
    "Step",
    "Task",
    "batch",
    "catch",
    "conda",
    "conda_base",
    "current",
    "default_metadata",
    "default_namespace",
    "get_metadata",
    "get_namespace",
    "kubernetes",
    "metadata",
    "namespace",
    "parallel",
    "pypi",
    "pypi_base",
    "resources",
    "retry",
    "step",
    "timeout",
]

_CLIENT = {
    "DataArtifact": "data_artifact",
    "Flow": "past_flow",
    "Metaflow": "past_flow",
    "Run": "past_run",
    "Step": "past_step",
    "Task": "past_task",
    "default_metadata": "scope",
    "default_namespace": "scope",
    "get_metadata": "scope",
    "get_namespace": "scope",
    "metadata": "scope",
    "namespace": "scope",
}
"""The module of ``client/`` that has a name."""


def __getattr__(name):
    # type: (str) -> object
    if name not in _CLIENT:
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    import importlib  # noqa: PLC0415 - only where the client is used

    value = getattr(importlib.import_module("airflow_conda_flow.client." + _CLIENT[name]), name)
    globals()[name] = value
    return value


def __dir__():
    # type: () -> list[str]
    return sorted(set(globals()) | set(__all__))
