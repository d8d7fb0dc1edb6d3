"""How a foreach's splits are shared out among Airflow's mapped tasks: the settings, read and checked."""

from __future__ import annotations

import os

from airflow_conda_flow.airflow.splits import Sharing
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.settings.loading import Settings

_REMOTE_AT_ONCE = 10
"""Pods or jobs of one block at a time: enough to hide their start, few enough for any worker's memory."""
_MOST_DIGITS = 18
"""Digits of a number at most: Python refuses to read thousands of them."""
_MOST_SHOWN = 40  # letters of a text that is no number


def sharing(settings: Settings) -> Sharing:
    """How many mapped tasks a foreach has: the settings, but never more than Airflow maps.

    Raises:
        SettingError: a setting is not a whole number from 1 on.
    """
    from airflow_conda_flow.airflow.sdk import conf  # noqa: PLC0415 - reads the configuration

    longest: int = conf.getint("core", "max_map_length", fallback=1024)
    tasks = max(1, min(_whole_number(settings, "foreach_tasks"), longest))
    return Sharing(tasks, min(_whole_number(settings, "foreach_blocks"), tasks))


def splits_at_once(settings: Settings, *, remote: bool) -> int:
    """Splits of a block that run at the same time.

    Args:
        settings: the settings in force.
        remote: True if the splits are pods or jobs.

    Raises:
        SettingError: the setting is not a whole number from 1 on.
    """
    if settings.texts["splits_at_once"].text:
        return _whole_number(settings, "splits_at_once")
    return _REMOTE_AT_ONCE if remote else _cores()


def check_block_settings(settings: Settings) -> None:
    """Read all of these settings before any step runs.

    Raises:
        SettingError: a setting is not a whole number from 1 on.
    """
    sharing(settings)
    splits_at_once(settings, remote=False)


def _cores() -> int:
    """Cores that this process may use."""
    # macOS has no affinities of processes.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _whole_number(settings: Settings, name: str) -> int:
    found = settings.texts[name]
    is_number = found.text.isascii() and found.text.isdecimal() and len(found.text) <= _MOST_DIGITS
    if not (is_number and int(found.text)):
        shown = found.text if len(found.text) <= _MOST_SHOWN else f"{found.text[:_MOST_SHOWN]}..."
        raise SettingError(f"{found.source} is {shown!r}; write a whole number from 1 on, such as 16.")
    return int(found.text)
