"""Amounts in the form that AWS Batch accepts: whole MiB, and on Fargate fixed pairs of vCPU and memory."""

from __future__ import annotations

import math
import re
from typing import Any

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.decorators.amounts import megabytes

_PLAIN = re.compile(r"\d+(\.\d+)?")
# vCPU -> (least MiB, most MiB, step between them).
# https://docs.aws.amazon.com/batch/latest/APIReference/API_ResourceRequirement.html
_FARGATE = {
    0.25: (512, 2048, 512),
    0.5: (1024, 4096, 1024),
    1.0: (2048, 8192, 1024),
    2.0: (4096, 16384, 1024),
    4.0: (8192, 30720, 1024),
    8.0: (16384, 61440, 4096),
    16.0: (32768, 122880, 8192),
}


def mebibytes(amount: Any) -> int:
    """Amount of memory in MiB, rounded up; a plain number counts MiB, as in Metaflow.

    >>> mebibytes(4096), mebibytes("512"), mebibytes("4Gi"), mebibytes("4G")
    (4096, 512, 4096, 3815)
    """
    if not isinstance(amount, str) or _PLAIN.fullmatch(amount):
        return math.ceil(float(amount))
    # 1e-6 absorbs the rounding error of the detour through MB, which would turn "123Mi" into 124.
    return math.ceil((megabytes(amount) or 0.0) * 1e6 / 2**20 - 1e-6)


def fargate_size(step: str, processors: float, memory: int) -> tuple[float, int]:
    """Smallest pair of vCPU and MiB on Fargate that is at least as large as both arguments.

    >>> fargate_size("train", 1, 4000), fargate_size("train", 0.5, 5000), fargate_size("train", 3, 1)
    ((1.0, 4096), (1.0, 5120), (4.0, 8192))

    Raises:
        SettingError: Fargate has no pair that large.
    """
    for size, (least, most, step_size) in _FARGATE.items():
        if processors <= size and memory <= most:
            fitting = max(least, math.ceil(memory / step_size) * step_size)
            # 0.25 vCPU is the one size with a gap: it has 512, 1024 and 2048 MiB, but not 1536.
            return size, 2048 if size == 0.25 and fitting == 1536 else fitting  # noqa: PLR2004
    raise SettingError(
        f"Step {step!r} asks for cpu={processors:g} and memory={memory} MiB; Fargate gives up to 16 and "
        "122880. Ask for less, or name a queue on EC2 with queue=."
    )
