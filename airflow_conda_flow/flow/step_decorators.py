"""Every step decorator that ``--with`` can add, by name. A new one is a new file and a line here."""

from airflow_conda_flow.flow.batch_decorator import BatchDecorator
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
