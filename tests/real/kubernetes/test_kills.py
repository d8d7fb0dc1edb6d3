"""Kills of pods, of their containers and of the launching process, drawn by a seed.

``make faults ROUNDS=50`` runs many. A round that fails names its seed: ``make faults ROUNDS=1 SEED=17``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest

from airflow_conda_flow.compute.kubernetes.spec import CONTAINER
from airflow_conda_flow.datastore.s3_storage import S3Storage

from ...parts.flow_machine import Machine
from ...parts.real_parts import docker
from ..killed_runs import KilledRuns

ROUNDS = int(os.environ.get("ROUNDS", "1"))
SEED = int(os.environ.get("SEED", "1"))


@pytest.fixture(scope="module")
def runs(cluster, moto_s3, tmp_path_factory) -> Iterator[KilledRuns]:
    """Runs on pods of the cluster."""
    root = moto_s3.make_root()
    machine = Machine(tmp_path_factory.mktemp("killed") / "home", **cluster.environ(root))

    def victims():
        found = {}
        for pod in cluster.pods("airflow-conda-flow/flow=AFlow"):
            name = pod["metadata"]["name"]
            force = ("delete", "pod", name, "-n", cluster.namespace, "--grace-period=0", "--force")
            found[name] = "pod", partial(cluster.kubectl, *force, "--wait=false", "--ignore-not-found")
            labels = (f"pod.name={name}", f"pod.namespace={cluster.namespace}", f"container.name={CONTAINER}")
            filters = [word for label in labels for word in ("--filter", f"label=io.kubernetes.{label}")]
            for container in docker("ps", "--quiet", *filters).stdout.split():
                found[container] = "container of a pod", partial(docker, "kill", container, check=False)
        return found

    yield KilledRuns(machine, S3Storage(root, moto_s3.make_client()), "@kubernetes", victims)
    cluster.clear("AFlow")


@pytest.fixture(scope="module")
def undisturbed(runs):
    """Artifacts and seconds of a run that nobody disturbs."""
    return runs.undisturbed()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_a_run_on_pods_survives_kills(runs, undisturbed, seed, tally):
    """The artifacts are those of an undisturbed run."""
    for kind in runs.round(seed, *undisturbed):
        tally(f"kills: {kind}, run on pods", happened=1)
