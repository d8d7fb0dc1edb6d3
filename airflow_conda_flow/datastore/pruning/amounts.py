"""Ages and sizes as people write and read them."""

from __future__ import annotations

import re

from airflow_conda_flow.errors import SettingError

_UNITS = {"h": 3600.0, "d": 24 * 3600.0, "w": 7 * 24 * 3600.0}
_AGE = re.compile(r"(\d+(?:\.\d+)?)([hdw])")
_STEP = 1000  # as disks and S3 count; 1,024 would be KiB
_WHOLE_FROM = 100  # with three digits before it, a decimal says nothing that counts


def age(text: str) -> float:
    """Seconds of an age such as ``30d``.

    Raises:
        SettingError: the text is no age.

    >>> age("36h") == age("1.5d") == 36 * 3600
    True
    """
    found = _AGE.fullmatch(text.strip())
    if not found:
        raise SettingError(f"{text!r} is not an age: write a number and h, d or w, such as 12h, 30d or 2w.")
    return float(found[1]) * _UNITS[found[2]]


def age_text(seconds: float) -> str:
    """An age in hours or days, in few characters.

    >>> [age_text(each) for each in (600, 7200, 86400 * 3.4, 86400 * 400)]
    ['0 h', '2 h', '3 d', '400 d']
    """
    hours = int(max(seconds, 0.0) // 3600)
    return f"{hours} h" if hours < 48 else f"{hours // 24} d"  # noqa: PLR2004 - two days


def size_text(size: float) -> str:
    """A number of bytes, in units of thousands.

    >>> [size_text(each) for each in (0, 999, 1500, 123_456_789, 5.2e12)]
    ['0 B', '999 B', '1.5 kB', '123 MB', '5.2 TB']
    """
    units = iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while size >= _STEP and unit != "TB":
        size, unit = size / _STEP, next(units)
    return f"{size:.0f} {unit}" if unit == "B" or size >= _WHOLE_FROM else f"{size:.1f} {unit}"
