"""The settings of Kubernetes that are no attribute of a step."""

from __future__ import annotations

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.settings import Settings


def startup_timeout(settings: Settings) -> int:
    """The seconds that a pod may take until a node takes it, and again until it runs.

    Raises:
        SettingError: the setting is no whole number above 0.
    """
    found = settings.texts["kubernetes_startup_timeout"]
    if not found.text.isdigit() or int(found.text) == 0:
        raise SettingError(f"{found.source} is {found.text!r}; it takes whole seconds above 0.")
    return int(found.text)
