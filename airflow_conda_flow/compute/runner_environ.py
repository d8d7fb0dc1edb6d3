"""Environment variables of a runner in a container: the datastore's location above all, never credentials."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.settings.loading import Settings

_AWS = "amazonaws.com"


def runner_environ(settings: Settings, storage: Storage) -> dict[str, str]:
    """Environment variables that lead a runner in a container to the datastore.

    Args:
        settings: the settings in force.
        storage: the datastore's storage; its client knows the endpoint and the region.
    """
    environ = {
        "CONDA_FLOW_DATASTORE": settings.datastore,
        "CONDA_FLOW_DATASTORE_ROOT": settings.datastore_root,
    }
    if settings.step_credentials:
        environ["CONDA_FLOW_STEP_CREDENTIALS"] = "true"
    endpoint = settings.texts["remote_endpoint_url"].text
    if isinstance(storage, S3Storage):
        meta = storage.client.meta
        if meta.region_name:
            environ["AWS_DEFAULT_REGION"] = meta.region_name
        host = urlsplit(meta.endpoint_url).hostname or ""
        # AWS's own endpoints follow from the region; only that of another S3 service must be passed on.
        if not endpoint and not host.endswith((_AWS, f"{_AWS}.cn")):
            endpoint = meta.endpoint_url
    if endpoint:
        # Not AWS_ENDPOINT_URL, which would send requests for secrets and for all other services there too.
        environ["AWS_ENDPOINT_URL_S3"] = endpoint
    return environ
