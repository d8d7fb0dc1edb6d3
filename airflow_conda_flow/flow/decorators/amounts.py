"""Amounts of processor and memory, as people write them: numbers, or Kubernetes quantities.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Amounts are passed on as they were written: ASCII digits, and no line break at the end.
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?\Z")
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kKMGTP]i?)\Z")
_MILLI = re.compile(r"([0-9]+)m\Z")
_COUNT = re.compile(r"[0-9]+\Z")
_MOST = sys.float_info.max
_STEPS = ("k", "M", "G", "T", "P")


def megabytes(amount: "Any") -> "float | None":
    """An amount of memory in MB (a million bytes), or None where it is no amount.

    A number, or a text that is one, counts MB.

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
    """An amount of processor in cores, or None where it is no amount.

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
    """A whole number of devices, or None where it is not one.

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
    """A whole number from 0 up, also as a text; None if it is none.

    >>> whole(3), whole("3"), whole(-1), whole(2.5), whole(True)
    (3, 3, None, None, None)
    """
    number = duration(value)
    return int(number) if number is not None and number == int(number) else None


def duration(value: "Any") -> "float | None":
    """A finite number from 0 up, also as a text; None if it is none.

    >>> duration(3), duration("0.5"), duration(-1), duration("nan"), duration("soon")
    (3, 0.5, None, None, None)
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
        value = int(value) if value == value // 1 else value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if 0 <= value <= _MOST else None
