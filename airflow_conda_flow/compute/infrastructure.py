"""How often a step is tried again whose machine, pod or job was taken away."""

from __future__ import annotations

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.settings.loading import Settings


def infrastructure_retries(settings: Settings) -> int:
    """Tries of a step beyond those of ``@retry``, for attempts that the infrastructure loses.

    Raises:
        SettingError: the setting is not a whole number from 0 on.
    """
    found = settings.texts["infrastructure_retries"]
    if not found.text.isdecimal():
        raise SettingError(f"{found.source} is {found.text!r}; write a whole number, such as 2.")
    return int(found.text)
