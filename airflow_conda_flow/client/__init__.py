"""Reading past runs. ``from airflow_conda_flow.client import Flow`` gives what the package itself gives."""

import importlib

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
    "metadata": "scope",
    "namespace": "scope",
}
"""The module that has a name; loaded by the first use of the name."""


def __getattr__(name):
    # type: (str) -> object
    if name not in _MODULES:
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    return getattr(importlib.import_module("%s.%s" % (__name__, _MODULES[name])), name)
