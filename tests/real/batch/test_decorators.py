"""Decorators in Batch's containers, from the command line and by ``airflow dags test``."""

from __future__ import annotations

from airflow_conda_flow.datastore.s3_storage import S3Storage

from ...parts.real_parts import docker
from ..decorators_in_containers import check_printed, check_stored, keep_secrets, run_decorated


def test_decorators_in_jobs(cluster, airflow_machine):
    """Retried, caught, killed, too late; variables, a card, and a secret that is kept nowhere."""
    keep_secrets(cluster.client("secretsmanager"))
    for printed in run_decorated(
        airflow_machine,
        "batch",
        lambda flow: docker("kill", cluster.container_of(f"{flow}-", "-killed-", seconds=180)),
        limited="@batch(shared_memory=77)",
        eat="os.kill(os.getpid(), 9)",
    ):
        check_printed(printed)
        assert "ATE The step's process was killed by SIGKILL." in printed, printed
        assert "its container was killed, or its machine was lost" in printed, printed
    (one, other) = (each for each in cluster.jobs("Decorated") if "-hungry-" in each["jobName"])
    assert one["jobDefinition"] == other["jobDefinition"]
    asked = cluster.definitions()[one["jobDefinition"]]["containerProperties"]
    assert {"type": "MEMORY", "value": "120"} in asked["resourceRequirements"]
    check_stored(S3Storage(airflow_machine.environ["CONDA_FLOW_DATASTORE_ROOT"], airflow_machine.s3))
