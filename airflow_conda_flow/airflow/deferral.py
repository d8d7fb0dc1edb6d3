"""Whether, and when, a step that runs elsewhere is handed to Airflow's triggerer while it runs."""

from __future__ import annotations

import json
import logging
import time
import urllib.request

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.settings import Settings

_SECONDS = 5.0
_SETTLING = 15.0
_log = logging.getLogger(__name__)


def defers(settings: Settings) -> bool:
    """Whether to hand the step over: as ``deferrable`` says; ``auto`` asks for a healthy triggerer."""
    wanted = settings.texts["deferrable"].text
    if wanted != "auto":
        return wanted == "true"
    from airflow.sdk.configuration import conf  # noqa: PLC0415 - reads the configuration

    if conf.getboolean("operators", "default_deferrable", fallback=False):
        return True
    return triggerer_is_healthy(_api_server(conf.get("core", "execution_api_server_url", fallback=None)))


def worker_seconds(settings: Settings) -> float:
    """How long a worker waits for a step itself before it hands it over.

    Raises:
        SettingError: the setting is no number of seconds.
    """
    found = settings.texts["defer_after"]
    try:
        seconds = float(found.text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise SettingError(f"{found.source} is {found.text!r}; write seconds, such as 10.")
    return seconds


def earliest_return() -> float:
    """When the triggerer may give back a step that is handed over now, in seconds since 1970.

    If a task is queued again before the scheduler has heard that its worker ended, the scheduler takes
    the old news for the end of the new one, and fails it: "finished with state success, but the task
    instance's state attribute is queued". A loop of the scheduler takes a second, or
    more than five where its machine has too much to do.
    """
    return time.time() + _SETTLING


def _api_server(execution_api: str | None) -> str | None:
    """The API server's own address, of that of its execution API; None where workers know of none."""
    if not execution_api or "/execution" not in execution_api:
        return None
    return execution_api.rpartition("/execution")[0]


def triggerer_is_healthy(api_server: str | None) -> bool:
    """Whether the API server says that a triggerer lives; False where it cannot be asked."""
    if api_server is None:
        return False
    # The scheme is http or https: it is the address that the worker itself talks to.
    url = f"{api_server}/api/v2/monitor/health"
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310
            health = json.load(answer)
    except (OSError, ValueError) as error:
        _log.info("Not deferring: %s cannot be asked for a triggerer: %s", url, error)
        return False
    return bool((health.get("triggerer") or {}).get("status") == "healthy")
