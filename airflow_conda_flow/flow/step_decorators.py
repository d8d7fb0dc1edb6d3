"""Every step decorator that ``--with`` can add, by name. A new one is a new file and a line here."""

from airflow_conda_flow.flow.batch_decorator import BatchDecorator
from airflow_conda_flow.flow.card_decorator import CardDecorator
from airflow_conda_flow.flow.catch_decorator import CatchDecorator
from airflow_conda_flow.flow.conda_decorators import CondaDecorator, PypiDecorator
from airflow_conda_flow.flow.environment_decorator import EnvironmentDecorator
from airflow_conda_flow.flow.kubernetes_decorator import KubernetesDecorator
from airflow_conda_flow.flow.resources_decorator import ResourcesDecorator
from airflow_conda_flow.flow.retry_decorator import RetryDecorator
from airflow_conda_flow.flow.secrets_decorator import SecretsDecorator
from airflow_conda_flow.flow.timeout_decorator import TimeoutDecorator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from airflow_conda_flow.flow.decorators import StepDecorator

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
