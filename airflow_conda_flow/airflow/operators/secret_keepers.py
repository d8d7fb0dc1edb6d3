"""Sources of ``@secrets`` on a worker: Airflow's connections and variables, and AWS through a connection."""

from __future__ import annotations

from typing import Any

from airflow_conda_flow.airflow.asking import ASKING
from airflow_conda_flow.errors import SecretError
from airflow_conda_flow.flow.decorators.secrets import AIRFLOW_CONNECTION, AIRFLOW_VARIABLE, AWS
from airflow_conda_flow.runner import secret_values
from airflow_conda_flow.runner.secret_values import Keeper, Source
from airflow_conda_flow.settings.loading import Settings


def airflow_keepers(settings: Settings) -> dict[str, Keeper]:
    """Sources of secrets by type, for the steps of a worker.

    AWS is among them only if ``aws_conn_id`` is set; without it boto3's default chain is used.
    """
    keepers: dict[str, Keeper] = {AIRFLOW_CONNECTION: _connection, AIRFLOW_VARIABLE: _variable}
    if settings.aws_conn_id:
        keepers[AWS] = lambda source: secret_values.from_client(_client(settings, source), source)
    return keepers


def _connection(source: Source) -> dict[str, str]:
    from airflow.sdk import Connection  # noqa: PLC0415 - asks the API server
    from airflow.sdk.exceptions import AirflowRuntimeError  # noqa: PLC0415

    from airflow_conda_flow.airflow.sdk import AirflowNotFoundException  # noqa: PLC0415

    try:
        with ASKING:
            found: Any = Connection.get(source["id"])
    except (AirflowNotFoundException, AirflowRuntimeError) as error:
        raise SecretError(f"@secrets: there is no Airflow connection {source['id']!r}.") from error
    return secret_values.connection(found.get_uri(), source)


def _variable(source: Source) -> dict[str, str]:
    from airflow.sdk import Variable  # noqa: PLC0415 - asks the API server
    from airflow.sdk.exceptions import AirflowRuntimeError  # noqa: PLC0415

    try:
        with ASKING:
            text = Variable.get(source["id"])
    except (AirflowRuntimeError, KeyError) as error:
        raise SecretError(f"@secrets: there is no Airflow variable {source['id']!r}.") from error
    return secret_values.airflow_variable(str(text), source)


def _client(settings: Settings, source: Source) -> Any:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook  # noqa: PLC0415 - heavy

    hook: Any = AwsGenericHook(
        aws_conn_id=settings.aws_conn_id,
        region_name=secret_values.region_of(source),
        client_type="secretsmanager",
    )
    with ASKING:
        return hook.get_conn()
