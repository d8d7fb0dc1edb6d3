"""Opens what a process needs of the settings: the datastore, and the environments of this machine."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_conda_flow.datastore.datastore import Datastore, open_datastore
from airflow_conda_flow.environments.credentials import Credential, Credentials
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.progress import Progress
from airflow_conda_flow.settings.loading import Settings


def open_settings_datastore(settings: Settings) -> Datastore:
    """Datastore that the settings name, with the credentials of boto3's default chain.

    Raises:
        SettingError: the settings name no datastore that can be opened.
    """
    return open_datastore(settings.datastore, settings.datastore_root, settings.cache_dir)


def open_environments(
    settings: Settings,
    datastore: Datastore,
    progress: Progress | None = None,
    credentials: Mapping[str, Credential] | None = None,
) -> Environments:
    """Environments of this machine, as the settings describe them.

    Args:
        settings: the settings in force.
        datastore: the datastore of the settings.
        progress: receives the progress of solving and downloading; None for nobody.
        credentials: credentials for channels by host, in addition to those in the channels' URLs.
    """
    return Environments(
        settings.cache_dir,
        # Only an S3 datastore shares locks and packages; otherwise the cache directory alone has them.
        storage=datastore.storage if settings.datastore == "s3" else None,
        resolver=settings.resolver,
        resolver_seconds=settings.resolver_seconds,
        progress=progress,
        credentials=Credentials.of_channels(settings.channels, credentials),
    )
