"""The environment variables of a runner in a container: where the datastore is, and never who may read it."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.settings import Settings

RUNNER = "/opt/airflow-conda-flow/bin/runner"
_AWS = "amazonaws.com"


def runner_environ(settings: Settings, storage: Storage) -> dict[str, str]:
    """The variables that docs/containers.md names, but for credentials.

    Args:
        settings: the settings in force.
        storage: the datastore's, already connected: it knows endpoint and region.
    """
    environ = {
        "CONDA_FLOW_DATASTORE": settings.datastore,
        "CONDA_FLOW_DATASTORE_ROOT": settings.datastore_root,
    }
    endpoint = settings.texts["remote_endpoint_url"].text
    if isinstance(storage, S3Storage):
        meta = storage.client.meta
        if meta.region_name:
            environ["AWS_DEFAULT_REGION"] = meta.region_name
        host = urlsplit(meta.endpoint_url).hostname or ""
        if not endpoint and not host.endswith((_AWS, f"{_AWS}.cn")):
            endpoint = meta.endpoint_url
    if endpoint:
        environ["AWS_ENDPOINT_URL"] = endpoint
    return environ
