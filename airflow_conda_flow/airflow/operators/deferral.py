"""Deferral of steps in pods and jobs to Airflow's triggerer: if, and when."""

from __future__ import annotations

import json
import logging
import urllib.request

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.settings.loading import Settings

# Timeout of the request for the triggerer's health. Meanwhile the worker passes on no output of the step;
# without an answer it waits for the step itself.
_SECONDS = 5.0
_log = logging.getLogger(__name__)


def defers(settings: Settings) -> bool:
    """True if steps are deferred: as ``deferrable`` says; ``auto`` defers if Airflow has a healthy triggerer.

    With ``auto``, Airflow's ``[operators] default_deferrable`` defers too.
    """
    wanted = settings.texts["deferrable"].text
    if wanted != "auto":
        return wanted == "true"
    from airflow_conda_flow.airflow.sdk import conf  # noqa: PLC0415 - reads the configuration

    if conf.getboolean("operators", "default_deferrable", fallback=False):
        return True
    return triggerer_is_healthy(_api_server(conf.get("core", "execution_api_server_url", fallback=None)))


def worker_seconds(settings: Settings) -> float:
    """Seconds for which a worker waits for a step itself before it defers the step.

    Raises:
        SettingError: the setting is not a number of seconds.
    """
    found = settings.texts["defer_after"]
    try:
        seconds = float(found.text)
    except ValueError:
        seconds = -1.0
    # Not "seconds < 0": this form refuses "nan" too.
    if not seconds >= 0:
        raise SettingError(f"{found.source} is {found.text!r}; write seconds, such as 10.")
    return seconds


def _api_server(execution_api: str | None) -> str | None:
    """Address of the API server, from that of its execution API; None if the worker has none configured."""
    if not execution_api or "/execution" not in execution_api:
        return None
    return execution_api.rpartition("/execution")[0]


def triggerer_is_healthy(api_server: str | None) -> bool:
    """True if the API server reports a healthy triggerer; False also if the server cannot be reached."""
    if api_server is None:
        return False
    # S310 below: the scheme cannot be file:, because the worker itself talks to this address.
    url = f"{api_server}/api/v2/monitor/health"
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310
            health = json.load(answer)
    except (OSError, ValueError) as error:
        _log.info("Not deferring: %s cannot be asked for a triggerer: %s", url, error)
        return False
    return bool((health.get("triggerer") or {}).get("status") == "healthy")
