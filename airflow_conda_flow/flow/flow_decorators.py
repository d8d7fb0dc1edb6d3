"""Every decorator of a flow class, by name. A new one is a new file and a line here."""

from airflow_conda_flow.flow.conda_decorators import CondaBaseDecorator, PypiBaseDecorator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from airflow_conda_flow.flow.decorators import FlowDecorator

FLOW_DECORATORS = {
    "conda_base": CondaBaseDecorator,
    "pypi_base": PypiBaseDecorator,
}  # type: dict[str, type[FlowDecorator]]
