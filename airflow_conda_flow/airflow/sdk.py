"""Names of Airflow that are not at the same place in all supported versions.

``from airflow_conda_flow.airflow.sdk import conf`` imports a name from where the installed Airflow has it, at
its first use: Airflow's modules are slow to import, and DAG files are parsed again and again.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import AssetOrTimeSchedule, BaseHook, CronTriggerTimetable
    from airflow.sdk.configuration import conf
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowRescheduleException,
        AirflowSkipException,
    )
    from airflow.sdk.log import redact  # type: ignore[attr-defined]  # Airflow's operators import it from here
    from airflow.sdk.types import TaskInstanceKey

__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowRescheduleException",
    "AirflowSkipException",
    "AssetOrTimeSchedule",
    "BaseHook",
    "CronTriggerTimetable",
    "TaskInstanceKey",
    "conf",
    "redact",
]

_EXCEPTIONS = ("airflow.sdk.exceptions", "airflow.exceptions")
_MODULES: dict[str, tuple[str, ...]] = {
    # The newest place first: the older ones warn that they are deprecated.
    "AirflowException": _EXCEPTIONS,
    "AirflowFailException": _EXCEPTIONS,
    "AirflowNotFoundException": _EXCEPTIONS,
    "AirflowRescheduleException": _EXCEPTIONS,
    "AirflowSkipException": _EXCEPTIONS,
    "AssetOrTimeSchedule": ("airflow.sdk", "airflow.timetables.assets"),
    "BaseHook": ("airflow.sdk", "airflow.hooks.base"),
    "CronTriggerTimetable": ("airflow.sdk", "airflow.timetables.trigger"),
    "TaskInstanceKey": ("airflow.sdk.types", "airflow.models.taskinstancekey"),
    "conf": ("airflow.sdk.configuration", "airflow.configuration"),
    "redact": ("airflow.sdk.log", "airflow.sdk.execution_time.secrets_masker"),
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    *newer, oldest = _MODULES[name]
    found: Any = None
    for module in newer:
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
        break
    else:
        found = getattr(importlib.import_module(oldest), name)
    globals()[name] = found
    return found
