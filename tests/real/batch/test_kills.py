"""Kills of jobs' containers, ends of jobs and kills of the launching process, drawn by a seed.

``make faults ROUNDS=50`` runs many. A round that fails names its seed: ``make faults ROUNDS=1 SEED=17``.
"""

from __future__ import annotations

import os
from functools import partial

import pytest

from airflow_conda_flow.datastore.s3_storage import S3Storage

from ...parts.flow_machine import Machine
from ...parts.real_parts import docker
from ..killed_runs import KilledRuns

ROUNDS = int(os.environ.get("ROUNDS", "1"))
SEED = int(os.environ.get("SEED", "1"))


@pytest.fixture(scope="module")
def runs(cluster, tmp_path_factory) -> KilledRuns:
    """Runs on jobs of the queue."""
    root = cluster.server.make_root()
    machine = Machine(tmp_path_factory.mktemp("killed") / "home", **cluster.environ(root))

    def victims():
        found, batch = {}, cluster.client("batch")
        names = docker("ps", "--format", "{{.Names}}").stdout.split()
        for job in cluster.jobs("AFlow-"):
            job_id = job["jobId"]
            if job["status"] in {"SUBMITTED", "RUNNABLE", "STARTING", "RUNNING"}:
                end = partial(batch.terminate_job, jobId=job_id, reason="by a person")
                found[job_id] = "job", end
            # Others may be running jobs on this machine too.
            for name in names:
                if job_id in name:
                    found[name] = "container of a job", partial(docker, "kill", name, check=False)
        return found

    return KilledRuns(machine, S3Storage(root, cluster.server.make_client()), "@batch", victims)


@pytest.fixture(scope="module")
def undisturbed(runs):
    """Artifacts and seconds of a run that nobody disturbs."""
    return runs.undisturbed()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
def test_a_run_on_jobs_survives_kills(runs, undisturbed, seed, tally):
    """The artifacts are those of an undisturbed run."""
    for kind in runs.round(seed, *undisturbed):
        tally(f"kills: {kind}, run on jobs", happened=1)
