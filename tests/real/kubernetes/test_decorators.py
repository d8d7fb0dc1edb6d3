"""Decorators in real pods, from the command line and by ``airflow dags test``."""

from __future__ import annotations

import re

import boto3

from airflow_conda_flow.datastore.s3_storage import S3Storage

from ...parts.s3_servers import ACCESS_KEY, SECRET_KEY
from ..decorators_in_containers import check_printed, check_stored, keep_secrets, run_decorated
from .conftest import root_of

EAT = "x = [bytearray(10_000_000) for _ in range(100)]"


def test_decorators_in_pods(cluster, make_airflow):
    """Retried, caught, out of memory, deleted, too late; variables, a card, and a secret that is kept nowhere."""
    machine, server = make_airflow(), cluster.server
    keep_secrets(
        boto3.client(
            "secretsmanager",
            endpoint_url=server.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )
    )
    for printed in run_decorated(
        machine,
        "kubernetes",
        lambda flow: cluster.delete(cluster.pod_of(flow, "killed", seconds=180)),
        limited='@kubernetes(qos="Guaranteed", cpu=0.2)',
        eat=EAT,
    ):
        check_printed(printed)
        assert re.search(r"ATE .* needed more memory than its container may have, 114 MB", printed), printed
        assert re.search(r"GONE Pod \S+ was (deleted|ended from outside)", printed), printed
    check_stored(S3Storage(root_of(machine), server.make_client()))
