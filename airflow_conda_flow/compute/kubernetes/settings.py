"""Settings of Kubernetes that are not attributes of a step."""

from __future__ import annotations

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.records.names import whole_number
from airflow_conda_flow.settings.loading import Settings


def startup_timeout(settings: Settings) -> int:
    """Seconds that a pod may wait for a node, and again on the node until its container runs.

    Raises:
        SettingError: the setting is not a whole number above 0.
    """
    found = settings.texts["kubernetes_startup_timeout"]
    if not (seconds := whole_number(found.text)):
        raise SettingError(f"{found.source} is {found.text!r}; it takes whole seconds above 0.")
    return seconds
