"""Kinds of values that only ``@batch`` accepts; see ``attribute_values`` for the contract."""

import re

from airflow_conda_flow.flow.decorators.amounts import count
from airflow_conda_flow.flow.decorators.attribute_values import absolute_path, list_of, texts_by_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.flow.decorators.attribute_values import Normalise

# https://docs.aws.amazon.com/batch/latest/APIReference/API_LogConfiguration.html
LOG_DRIVERS = (
    "awslogs",
    "awsfirelens",
    "fluentd",
    "gelf",
    "journald",
    "json-file",
    "logentries",
    "splunk",
    "syslog",
)
_ROLE = re.compile(r"^arn:[a-z-]+:iam::\d{12}:role/\S+\Z")
_FILE_SYSTEM = re.compile(r"^fs-[0-9a-f]+\Z")
# https://docs.aws.amazon.com/batch/latest/userguide/using-tags.html
_TAG = re.compile(r"^[\w .:/=+@-]*\Z")
_TAG_KEY_LENGTH, _TAG_VALUE_LENGTH = 128, 256


def whole(least: int, most: "int | None" = None) -> "Normalise":
    """Normaliser for a whole number, or a text that holds one, from ``least`` to ``most`` inclusive."""

    def normalise(value: "Any") -> int:
        number = count(value)
        if number is None or number < least or (most is not None and number > most):
            raise ValueError(value)
        return int(number)

    return normalise


def role(value: "Any") -> str:
    """ARN of an IAM role."""
    if not isinstance(value, str) or not _ROLE.match(value):
        raise ValueError(value)
    return value


def _host_volume(value: "Any") -> str:
    for path in str(value).split(":", 1):
        absolute_path(path)
    return str(value)


def _efs_volume(value: "Any") -> str:
    system, colon, path = str(value).partition(":")
    if not _FILE_SYSTEM.match(system):
        raise ValueError(value)
    if colon:
        absolute_path(path)
    return str(value)


host_volumes = list_of(_host_volume)
efs_volumes = list_of(_efs_volume)


def log_options(value: "Any") -> "list[str]":
    """Options of a log driver as ``name:value`` texts, from a list, a single text or a dict.

    >>> log_options({"awslogs-group": "/flows"}), log_options("awslogs-group:/flows")
    (['awslogs-group:/flows'], ['awslogs-group:/flows'])
    """
    if isinstance(value, dict):
        value = ["%s:%s" % pair for pair in value.items()]
    options = value if isinstance(value, (list, tuple)) else [value]
    for each in options:
        if not isinstance(each, str) or not all(each.partition(":")):
            raise ValueError(value)
    return list(options)


def tags(value: "Any") -> "dict[str, str]":
    """AWS tags."""
    found = texts_by_name(value)
    for name, each in found.items():
        if not name or len(name) > _TAG_KEY_LENGTH or len(each) > _TAG_VALUE_LENGTH:
            raise ValueError(value)
        # AWS reserves the prefix "aws:".
        if name.lower().startswith("aws:") or not _TAG.match(name) or not _TAG.match(each):
            raise ValueError(value)
    return found
