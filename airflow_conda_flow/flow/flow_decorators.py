"""Every decorator of a flow class, by name. A new one is a new file and a line here."""

from airflow_conda_flow.flow.conda_decorators import CondaBaseDecorator, PypiBaseDecorator
from airflow_conda_flow.flow.exit_hook_decorator import ExitHookDecorator
from airflow_conda_flow.flow.project_decorator import ProjectDecorator
from airflow_conda_flow.flow.schedule_decorator import ScheduleDecorator
from airflow_conda_flow.flow.trigger_decorators import TriggerDecorator, TriggerOnFinishDecorator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from airflow_conda_flow.flow.decorators import FlowDecorator

FLOW_DECORATORS: "dict[str, type[FlowDecorator]]" = {
    "conda_base": CondaBaseDecorator,
    "exit_hook": ExitHookDecorator,
    "project": ProjectDecorator,
    "pypi_base": PypiBaseDecorator,
    "schedule": ScheduleDecorator,
    "trigger": TriggerDecorator,
    "trigger_on_finish": TriggerOnFinishDecorator,
}
