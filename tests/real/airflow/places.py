"""Both kinds of places whose steps are real containers, with one server of AWS for jobs and for everybody's S3.

Folders of tests whose Airflow has flows on pods and on jobs import these fixtures in their ``conftest.py``.
"""

from __future__ import annotations

import pytest

from ...parts.s3_servers import S3Server
from ..batch.conftest import cluster as batch
from ..kubernetes.conftest import cluster as kubernetes

__all__ = ["batch", "kubernetes", "moto_s3"]


@pytest.fixture(scope="package")
def moto_s3(batch) -> S3Server:
    """The S3 server of pods too: that of the jobs."""
    return batch.server
