"""One running Airflow for all flows under a scheduler, whose steps are processes of its workers, pods and jobs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ....parts.airflow_machine import AirflowMachine
from ...kubernetes.conftest import node_cache
from ..places import batch, kubernetes, moto_s3
from ..standalone import Standalone, standalone

__all__ = ["batch", "kubernetes", "moto_s3", "node_cache"]


@pytest.fixture(scope="package")
def running(
    batch, kubernetes, moto_s3, channel, database, node_cache, tmp_path_factory
) -> Iterator[Standalone]:
    """Airflow with all its processes; each file of tests has a fixture that adds its flows."""
    root = moto_s3.make_root()
    machine = AirflowMachine(
        tmp_path_factory.mktemp("scheduled") / "home",
        channel.url,
        database,
        **{**kubernetes.environ(root), **batch.environ(root)},
        CONDA_FLOW_KUBERNETES_NODE_CACHE=str(node_cache),
        AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG="64",
        AIRFLOW__TRIGGERER__DEFAULT_CAPACITY="100",
    )
    machine.s3 = moto_s3.make_client()
    with standalone(machine) as airflow:
        yield airflow
