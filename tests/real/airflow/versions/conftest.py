"""Older versions of Airflow under ``airflow dags test``; the tests of a version share a process that has imported it."""

from __future__ import annotations

import pytest

from ....parts.airflow_versions import OLDER, AirflowVersion
from ..places import batch, kubernetes, moto_s3

__all__ = ["batch", "kubernetes", "moto_s3"]


@pytest.fixture(params=OLDER, ids=lambda each: each.airflow)
def version(request) -> AirflowVersion:
    """The version of Airflow."""
    return request.param
