"""Translation of our errors into Airflow's: the only place that decides if Airflow may retry a task."""

from __future__ import annotations

from airflow_conda_flow.airflow.sdk import AirflowException, AirflowFailException
from airflow_conda_flow.errors import (
    ComputeForbidden,
    CondaFlowError,
    FlowDefinitionError,
    NotAsPrepared,
    ParameterError,
    ResolverNotFound,
    SettingError,
    SolveError,
)

_HOPELESS = (
    ComputeForbidden,
    FlowDefinitionError,
    NotAsPrepared,
    ParameterError,
    ResolverNotFound,
    SettingError,
    SolveError,
)
"""Errors that every retry would repeat until somebody changes a flow, a parameter, a setting or a right.

Or, for ``NotAsPrepared``, what the datastore holds.
"""


def as_airflow_error(error: CondaFlowError) -> AirflowException:
    """Exception for Airflow: one that fails without retries if no retry can help, else an ordinary one."""
    kind = AirflowFailException if isinstance(error, _HOPELESS) else AirflowException
    return kind(str(error))
