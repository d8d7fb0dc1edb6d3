"""Table of the step decorators that ``--with`` can add, by name.

To add one, write a new file and add a line here. Decorators that choose where a step runs, such as
``@kubernetes``, are in the table of places (``flow/places.py``) instead.
"""

from airflow_conda_flow.flow.decorators.airflow_task import AirflowTaskDecorator
from airflow_conda_flow.flow.decorators.aws_credentials import AwsCredentialsDecorator
from airflow_conda_flow.flow.decorators.card import CardDecorator
from airflow_conda_flow.flow.decorators.catch import CatchDecorator
from airflow_conda_flow.flow.decorators.conda import CondaDecorator, PypiDecorator
from airflow_conda_flow.flow.decorators.environment import EnvironmentDecorator
from airflow_conda_flow.flow.decorators.resources import ResourcesDecorator
from airflow_conda_flow.flow.decorators.retry import RetryDecorator
from airflow_conda_flow.flow.decorators.secrets import SecretsDecorator
from airflow_conda_flow.flow.decorators.timeout import TimeoutDecorator
from airflow_conda_flow.flow.places import place_named, remote_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from airflow_conda_flow.flow.decorators.base import StepDecorator

STEP_DECORATORS: "dict[str, type[StepDecorator]]" = {
    "airflow_task": AirflowTaskDecorator,
    "aws_credentials": AwsCredentialsDecorator,
    "card": CardDecorator,
    "catch": CatchDecorator,
    "environment": EnvironmentDecorator,
    "resources": ResourcesDecorator,
    "retry": RetryDecorator,
    "secrets": SecretsDecorator,
    "timeout": TimeoutDecorator,
}

ENVIRONMENT_DECORATORS: "dict[str, type[StepDecorator]]" = {
    "conda": CondaDecorator,
    "pypi": PypiDecorator,
}
"""Decorators that are merged into a step's environment. ``--with`` does not offer them."""


def step_decorator_names() -> "list[str]":
    """Names of the decorators that ``--with`` can add, in alphabetical order."""
    return sorted([*STEP_DECORATORS, *remote_names()])


def decorator_class(name: str) -> "type[StepDecorator] | None":
    """Class of the step decorator with this name; None if there is no such decorator."""
    if name in remote_names():
        return place_named(name).load("decorator")  # type: ignore[no-any-return]
    return STEP_DECORATORS.get(name) or ENVIRONMENT_DECORATORS.get(name)
