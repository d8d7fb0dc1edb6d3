"""Every step decorator that ``--with`` can add, by name. A new one is a new file and a line here."""

from airflow_conda_flow.flow.batch_decorator import BatchDecorator
from airflow_conda_flow.flow.conda_decorators import CondaDecorator, PypiDecorator
from airflow_conda_flow.flow.kubernetes_decorator import KubernetesDecorator
from airflow_conda_flow.flow.resources_decorator import ResourcesDecorator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from airflow_conda_flow.flow.decorators import StepDecorator

STEP_DECORATORS = {
    "batch": BatchDecorator,
    "kubernetes": KubernetesDecorator,
    "resources": ResourcesDecorator,
}  # type: dict[str, type[StepDecorator]]

ENVIRONMENT_DECORATORS = {
    "conda": CondaDecorator,
    "pypi": PypiDecorator,
}  # type: dict[str, type[StepDecorator]]
"""Decorators that are merged into a step's environment."""


def decorator_class(name):
    # type: (str) -> type[StepDecorator] | None
    """The class of a step decorator of ours, or None."""
    return STEP_DECORATORS.get(name) or ENVIRONMENT_DECORATORS.get(name)
