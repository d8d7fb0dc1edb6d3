"""Amounts of CPU and memory as people write them: plain numbers or Kubernetes quantities.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Amounts are passed on exactly as written, so these patterns are strict: ASCII digits only, and "\Z" rather
# than "$", which would accept a trailing line break.
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?\Z")
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kKMGTP]i?)\Z")
_MILLI = re.compile(r"([0-9]+)m\Z")
_COUNT = re.compile(r"[0-9]+\Z")
_MOST = sys.float_info.max  # excludes infinity; NaN fails any comparison
_STEPS = ("k", "M", "G", "T", "P")


def megabytes(amount: "Any") -> "float | None":
    """Amount of memory in MB (a million bytes); None if the value is not an amount.

    A number, or a text that holds a number, is in MB.

    >>> megabytes(4096), megabytes("512"), megabytes("4G"), megabytes("1Gi"), megabytes("4 GB")
    (4096.0, 512.0, 4000.0, 1073.741824, None)
    """
    if not isinstance(amount, str):
        return _number(amount)
    if _NUMBER.match(amount):
        return _number(float(amount))
    found = _QUANTITY.match(amount)
    if not found:
        return None
    number, unit = found.groups()
    base = 1024.0 if unit.endswith("i") else 1000.0
    power = _STEPS.index(unit[0].replace("K", "k")) + 1
    return _number(float(number) * float(base**power) / 1e6)


def cores(amount: "Any") -> "float | None":
    """Amount of CPU in cores; None if the value is not an amount.

    >>> cores(2), cores("0.5"), cores("250m"), cores("many")
    (2.0, 0.5, 0.25, None)
    """
    if not isinstance(amount, str):
        return _number(amount)
    if _NUMBER.match(amount):
        return _number(float(amount))
    found = _MILLI.match(amount)
    return _number(float(found.group(1)) / 1000.0) if found else None


def count(amount: "Any") -> "float | None":
    """Number of devices; None if the value is not a whole number.

    >>> count(2), count("1"), count(1.5), count(True)
    (2.0, 1.0, None, None)
    """
    if isinstance(amount, str):
        return _number(float(amount)) if _COUNT.match(amount) else None
    number = _number(amount)
    return number if number is not None and number == int(number) else None


def _number(amount: "Any") -> "float | None":
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        return None
    return float(amount) if 0 <= amount <= _MOST else None


def whole(value: "Any") -> "int | None":
    """Whole number of at least 0, given as a number or a text; None if the value is anything else.

    >>> whole(3), whole("3"), whole(-1), whole(2.5), whole(True)
    (3, 3, None, None, None)
    """
    number = duration(value)
    return int(number) if number is not None and number == int(number) else None


def duration(value: "Any") -> "float | None":
    """Finite number of at least 0, given as a number or a text; None if the value is anything else.

    >>> duration(3), duration("0.5"), duration(-1), duration("nan"), duration("soon")
    (3, 0.5, None, None, None)
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
        value = int(value) if value == value // 1 else value  # "3" gives 3, not 3.0
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if 0 <= value <= _MOST else None
