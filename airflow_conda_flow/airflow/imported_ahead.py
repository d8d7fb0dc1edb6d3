"""Imports, before Airflow forks, of what the DAGs of flows need.

The DAG processor forks for each reading of a file, and LocalExecutor for each task. The KubernetesPodOperator
costs each fork a second of processor time and 79 MB, and this package's own modules a twentieth of a second,
unless the process that forks has imported them. For a DAG that is written by hand the DAG processor does so,
because it finds the imports in the file's text (``[dag_processor] parsing_pre_import_modules``); the file of
a flow imports this package alone.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import Any

import pluggy

from airflow_conda_flow.flow.places import places


@pluggy.HookimplMarker("airflow")
def on_starting(component: Any) -> None:
    """Import ahead, in a process that is going to fork; Airflow calls this when a long-lived process starts.

    Args:
        component: Airflow's object of the process, which does not say yet which process it is.
    """
    del component
    if _forks(sys.argv):
        importlib.import_module("airflow_conda_flow.airflow.dag.compiler")
        for place in places():
            for operator in ("operator", "gang_operator"):
                # A provider that is missing or broken is reported where a flow needs it.
                with contextlib.suppress(Exception):
                    place.load(operator)


def _forks(command: list[str]) -> bool:
    """Whether a command of Airflow reads DAG files or runs tasks in forks of its process."""
    from airflow_conda_flow.airflow.sdk import conf  # noqa: PLC0415 - reads the configuration

    if "dag-processor" in command:
        return bool(conf.getboolean("dag_processor", "parsing_pre_import_modules", fallback=True))
    return "scheduler" in command and "LocalExecutor" in conf.get("core", "executor")
