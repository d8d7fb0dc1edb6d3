"""Our errors as Airflow's: the one place that decides whether Airflow may try a task again."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from airflow_conda_flow.errors import (
    CondaFlowError,
    FlowDefinitionError,
    ParameterError,
    ResolverNotFound,
    SettingError,
    SolveError,
)

_HOPELESS = (FlowDefinitionError, ParameterError, ResolverNotFound, SettingError, SolveError)
"""Errors that another try would only repeat, until somebody changes a flow, a parameter or a setting."""


def as_airflow_error(error: CondaFlowError) -> AirflowException:
    """The exception for Airflow: without retries where no retry can help, else an ordinary failure."""
    kind = AirflowFailException if isinstance(error, _HOPELESS) else AirflowException
    return kind(str(error))
