"""Settings and stores under Airflow, whose section ``[conda_flow]`` yields to every other source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow_conda_flow.datastore.artifacts import ArtifactStore
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.environments.credentials import Credential, basic, bearer
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.progress import Progress
from airflow_conda_flow.flow.requirements import missing_requirement
from airflow_conda_flow.runner.stores import open_environments, open_settings_datastore
from airflow_conda_flow.settings.loading import ProjectPlace, Settings, load_settings, options, project_place

SECTION = "conda_flow"


def airflow_settings(overrides: Mapping[str, str | None] | None = None) -> Settings:
    """Settings in force in this Airflow process.

    Args:
        overrides: the same as for ``load_settings``.

    Raises:
        SettingError: a setting is wrong.
    """
    from airflow_conda_flow.airflow.sdk import conf  # noqa: PLC0415 - reads the configuration

    fallbacks = {option.name: conf.get(SECTION, option.name, fallback=None) for option in options()}
    return load_settings(overrides, fallbacks)


def airflow_project_place() -> ProjectPlace:
    """Place in their projects of all flows of this Airflow: branch, production and user of the settings."""
    from airflow_conda_flow.airflow.sdk import conf  # noqa: PLC0415 - reads the configuration

    names = ("branch", "production", "project_user")
    return project_place({name: conf.get(SECTION, name, fallback=None) for name in names})


def open_stores(settings: Settings, progress: Progress) -> tuple[Datastore, Environments]:
    """Datastore and environments of the settings, with the credentials of their Airflow connections."""
    datastore = _opened(settings)
    environments = open_environments(settings, datastore, progress, _channel_connections(settings))
    return datastore, environments


def airflow_datastore(overrides: Mapping[str, str | None]) -> Datastore:
    """Datastore that the client reads in this Airflow process.

    Args:
        overrides: the same as for ``load_settings``.
    """
    return _opened(airflow_settings(overrides))


def _opened(settings: Settings) -> Datastore:
    if settings.datastore == "s3" and settings.aws_conn_id:
        return _with_connection(settings)
    return open_settings_datastore(settings)


def _with_connection(settings: Settings) -> Datastore:
    try:
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook  # noqa: PLC0415 - heavy
    except ImportError as error:
        raise missing_requirement(error, "Connections to AWS (aws_conn_id)") from error
    from airflow_conda_flow.datastore.s3_storage import S3Storage  # noqa: PLC0415 - heavy

    client: Any = S3Hook(aws_conn_id=settings.aws_conn_id).get_conn()
    storage = S3Storage(settings.datastore_root, client)
    return Datastore(storage, ArtifactStore(storage, settings.cache_dir), settings.cache_dir)


def _channel_connections(settings: Settings) -> dict[str, Credential]:
    """Credentials of the connections that ``channel_conn_id`` names, by host (with the port, if it has one).

    A connection with a login gives HTTP basic authentication, one with only a password a bearer token, and
    one with ``{"token": ...}`` as its extra a token for anaconda.org.
    """
    names = [each.strip() for each in settings.channel_conn_id.split(",") if each.strip()]
    if not names:
        return {}
    from airflow_conda_flow.airflow.sdk import BaseHook  # noqa: PLC0415 - asks the API server

    found: dict[str, Credential] = {}
    for name in names:
        connection = BaseHook.get_connection(name)
        address = connection.host or ""
        host = str(urlsplit(address if "://" in address else f"//{address}").netloc)
        if connection.port and ":" not in host:
            host = f"{host}:{connection.port}"
        if token := connection.extra_dejson.get("token"):
            found[host] = Credential({}, token)
        elif connection.login:
            found[host] = basic(connection.login, connection.password or "")
        else:
            found[host] = bearer(connection.password or "")
    return found
