"""What decorators mean in real pods, from the command line and by ``airflow dags test``."""

from __future__ import annotations

import re

import boto3
import pytest

from airflow_conda_flow.datastore.s3_storage import S3Storage

from ..datastore.s3_servers import ACCESS_KEY, SECRET_KEY
from ..decorators.in_containers import (
    WAYS,
    check_printed,
    check_stored,
    flow_name,
    keep_secret,
    run_decorated,
)
from .conftest import root_of

EAT = "x = [bytearray(10_000_000) for _ in range(100)]"


@pytest.mark.parametrize("way", WAYS)
def test_decorators_in_pods(cluster, make_airflow, way):
    """Retried, caught, out of memory, deleted, too late; variables, a card, and a secret that is kept nowhere."""
    machine, server = make_airflow(), cluster.server
    secrets_manager = boto3.client(
        "secretsmanager",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    keep_secret(secrets_manager, way)
    printed = run_decorated(
        machine,
        way,
        "kubernetes",
        lambda: cluster.delete(cluster.pod_of(flow_name(way), "killed", seconds=180)),
        limited='@kubernetes(qos="Guaranteed", cpu=0.2)',
        eat=EAT,
    )
    check_printed(printed)
    assert re.search(r"ATE .* needed more memory than its container may have, 114 MB", printed), printed
    assert re.search(r"GONE Pod \S+ was (deleted|ended from outside)", printed), printed
    check_stored(S3Storage(root_of(machine), server.make_client()))
