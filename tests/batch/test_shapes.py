"""Every shape of a graph with each of its tasks in a container of Batch, from the command line; one as a DAG."""

from __future__ import annotations

import re

import pytest

from airflow_conda_flow.datastore.s3_storage import S3Storage

from ..airflow.conftest import AirflowMachine
from ..flow_machine import Machine
from ..graphs.shape_runs import copy_dags, hashes_of_dag_run, run_dags, run_shapes
from ..graphs.shapes import SHAPES, shape_name

pytestmark = pytest.mark.xdist_group("batch")  # they share a Batch, and two processors


@pytest.fixture(scope="module")
def job_runs(cluster, tmp_path_factory):
    """The run of every shape, several side by side."""
    root = cluster.server.make_root()
    machine = Machine(tmp_path_factory.mktemp("shapes") / "home", **cluster.environ(root))
    storage = S3Storage(root, cluster.client("s3"))
    return run_shapes(machine, storage, "--with", "batch", at_once=4)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("shape", SHAPES, ids=shape_name)
def test_jobs_leave_what_local_processes_leave(shape, job_runs, local_shapes):
    """By hash, every artifact of every task; and each task was a job of its own."""
    run, local = job_runs[shape_name(shape)], local_shapes[shape_name(shape)]
    assert run.exit_code == 0, run.output
    assert run.hashes == local
    assert len(set(re.findall(r"\(job (\S+)\)", run.output))) == len(local)


DAG_SHAPE = ("foreach_in_switch", {"way": "both"})


@pytest.mark.timeout(600)
def test_a_dag_of_jobs_leaves_the_same(cluster, database, tmp_path, local_shapes):
    """By ``airflow dags test``: the same artifacts, and no job on the arms that were not chosen."""
    root = cluster.server.make_root()
    machine = AirflowMachine(tmp_path / "home", "unused", database, **cluster.environ(root))
    copy_dags([DAG_SHAPE], machine.dags, decorators=["batch"])
    states = run_dags(machine, [DAG_SHAPE])[shape_name(DAG_SHAPE)]["states"]
    storage = S3Storage(root, cluster.client("s3"))
    assert hashes_of_dag_run(storage, DAG_SHAPE, [DAG_SHAPE]) == local_shapes[shape_name(DAG_SHAPE)]
    assert {states[step] for step in ("many", "body", "one")} == {"skipped"}
