"""Every step decorator that ``--with`` can add, by name. A new one is a new file and a line here."""

from airflow_conda_flow.flow.decorators.batch import BatchDecorator
from airflow_conda_flow.flow.decorators.card import CardDecorator
from airflow_conda_flow.flow.decorators.catch import CatchDecorator
from airflow_conda_flow.flow.decorators.conda import CondaDecorator, PypiDecorator
from airflow_conda_flow.flow.decorators.environment import EnvironmentDecorator
from airflow_conda_flow.flow.decorators.kubernetes import KubernetesDecorator
from airflow_conda_flow.flow.decorators.resources import ResourcesDecorator
from airflow_conda_flow.flow.decorators.retry import RetryDecorator
from airflow_conda_flow.flow.decorators.secrets import SecretsDecorator
from airflow_conda_flow.flow.decorators.timeout import TimeoutDecorator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from airflow_conda_flow.flow.decorators.base import StepDecorator

STEP_DECORATORS: "dict[str, type[StepDecorator]]" = {
    "batch": BatchDecorator,
    "card": CardDecorator,
    "catch": CatchDecorator,
    "environment": EnvironmentDecorator,
    "kubernetes": KubernetesDecorator,
    "resources": ResourcesDecorator,
    "retry": RetryDecorator,
    "secrets": SecretsDecorator,
    "timeout": TimeoutDecorator,
}

ENVIRONMENT_DECORATORS: "dict[str, type[StepDecorator]]" = {
    "conda": CondaDecorator,
    "pypi": PypiDecorator,
}
"""Decorators that are merged into a step's environment."""


def decorator_class(name: str) -> "type[StepDecorator] | None":
    """The class of a step decorator of ours, or None."""
    return STEP_DECORATORS.get(name) or ENVIRONMENT_DECORATORS.get(name)
