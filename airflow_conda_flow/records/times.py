"""Times in stored documents: ISO 8601, UTC, such as ``2026-11-24T02:00:00.000000+00:00``."""

import re
from datetime import datetime, timezone

_FORM = re.compile(r"([12]\d{3})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?\+00:00", re.ASCII)
_FIRST, _LAST = 1970, 2999  # years; next to the ends of its range datetime cannot convert to other time zones


def stated_moment(text: str) -> "datetime":
    """Time that a document states. Python 3.6 has no function for it.

    Raises:
        ValueError: the text has another form, or there is no such day.

    >>> stated_moment("2026-11-24T02:00:00.5+00:00")
    datetime.datetime(2026, 11, 24, 2, 0, 0, 500000, tzinfo=datetime.timezone.utc)
    """
    found = _FORM.fullmatch(text)
    if found is None or not _FIRST <= int(found.group(1)) <= _LAST:
        raise ValueError("%r is not a time in UTC, such as 2026-11-24T02:00:00.000000+00:00." % text)
    year, month, day, hour, minute, second = [int(part) for part in found.groups()[:6]]
    micros = int((found.group(7) or "").ljust(6, "0"))
    return datetime(year, month, day, hour, minute, second, micros, timezone.utc)
