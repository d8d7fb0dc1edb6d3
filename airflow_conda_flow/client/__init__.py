"""Client: read access to past runs. The package ``airflow_conda_flow`` exports the same names."""

import importlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING or sys.version_info < (3, 7):
    # Python 3.6 has no module-level __getattr__, so there everything is imported at once.
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
    from airflow_conda_flow.client.spin_results import inspect_spin
    from airflow_conda_flow.client.task_cards import get_cards

__all__ = [
    "DataArtifact",
    "Flow",
    "Metaflow",
    "Run",
    "Step",
    "Task",
    "default_metadata",
    "default_namespace",
    "get_cards",
    "get_metadata",
    "get_namespace",
    "inspect_spin",
    "metadata",
    "namespace",
]

_MODULES = {
    "DataArtifact": "data_artifact",
    "Flow": "past_flow",
    "Metaflow": "past_flow",
    "Run": "past_run",
    "Step": "past_step",
    "Task": "past_task",
    "default_metadata": "scope",
    "default_namespace": "scope",
    "get_cards": "task_cards",
    "get_metadata": "scope",
    "get_namespace": "scope",
    "inspect_spin": "spin_results",
    "metadata": "scope",
    "namespace": "scope",
}
"""Module that defines each name; imported when the name is first used."""


if not TYPE_CHECKING:  # otherwise type checkers would accept any name

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError("module %r has no attribute %r" % (__name__, name))
        return getattr(importlib.import_module("%s.%s" % (__name__, _MODULES[name])), name)
