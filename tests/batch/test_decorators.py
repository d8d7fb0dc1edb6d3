"""What decorators mean in Batch's containers, from the command line and by ``airflow dags test``."""

from __future__ import annotations

import pytest

from airflow_conda_flow.datastore.s3_storage import S3Storage

from ..decorators.in_containers import (
    WAYS,
    check_printed,
    check_stored,
    flow_name,
    keep_secret,
    run_decorated,
)
from ..real_parts import docker

pytestmark = pytest.mark.xdist_group("batch")  # they share a Batch, and two processors


@pytest.mark.parametrize("way", WAYS)
def test_decorators_in_jobs(cluster, airflow_machine, way):
    """Retried, caught, killed, too late; variables, a card, and a secret that is kept nowhere."""
    prefix = f"{flow_name(way)}-"
    keep_secret(cluster.client("secretsmanager"), way)
    printed = run_decorated(
        airflow_machine,
        way,
        "batch",
        lambda: docker("kill", cluster.container_of(prefix, "-killed-", seconds=180)),
        limited="@batch(shared_memory=77)",
        eat="os.kill(os.getpid(), 9)",
    )
    check_printed(printed)
    assert "ATE The step's process was killed by SIGKILL." in printed, printed
    assert "its container was killed, or its machine was lost" in printed, printed
    (job,) = (each for each in cluster.jobs(prefix) if "-hungry-" in each["jobName"])
    asked = cluster.definitions()[job["jobDefinition"]]["containerProperties"]
    assert {"type": "MEMORY", "value": "120"} in asked["resourceRequirements"]
    check_stored(S3Storage(airflow_machine.environ["CONDA_FLOW_DATASTORE_ROOT"], airflow_machine.s3))
