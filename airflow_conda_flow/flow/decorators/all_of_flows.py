"""Table of all flow decorators by name. To add one, write a new file and add a line here."""

from airflow_conda_flow.flow.decorators.airflow_sensors import (
    ExternalTaskSensorDecorator,
    S3KeySensorDecorator,
)
from airflow_conda_flow.flow.decorators.conda import CondaBaseDecorator, PypiBaseDecorator
from airflow_conda_flow.flow.decorators.exit_hook import ExitHookDecorator
from airflow_conda_flow.flow.decorators.project import ProjectDecorator
from airflow_conda_flow.flow.decorators.schedule import ScheduleDecorator
from airflow_conda_flow.flow.decorators.trigger import TriggerDecorator, TriggerOnFinishDecorator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from airflow_conda_flow.flow.decorators.base import FlowDecorator

FLOW_DECORATORS: "dict[str, type[FlowDecorator]]" = {
    "airflow_external_task_sensor": ExternalTaskSensorDecorator,
    "airflow_s3_key_sensor": S3KeySensorDecorator,
    "conda_base": CondaBaseDecorator,
    "exit_hook": ExitHookDecorator,
    "project": ProjectDecorator,
    "pypi_base": PypiBaseDecorator,
    "schedule": ScheduleDecorator,
    "trigger": TriggerDecorator,
    "trigger_on_finish": TriggerOnFinishDecorator,
}
