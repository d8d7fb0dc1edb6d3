"""Some shapes with each of its tasks in a container of Batch, from the command line; one as a DAG."""

from __future__ import annotations

import re

import pytest

from airflow_conda_flow.datastore.s3_storage import S3Storage

from ...parts.airflow_machine import AirflowMachine
from ...parts.graphs.shape_runs import hashes_of_dag_run, run_in_containers
from ...parts.graphs.shapes import ON_JOBS, shape_name

DAG_SHAPE = ("foreach_in_switch", {"way": "many"})


@pytest.fixture(scope="module")
def machine(cluster, database, tmp_path_factory):
    """Where all runs are started, with one datastore. Airflow maps all splits of a foreach as one block."""
    home = tmp_path_factory.mktemp("shapes") / "home"
    return AirflowMachine(home, "unused", database, **cluster.environ(), CONDA_FLOW_FOREACH_TASKS="1")


@pytest.fixture(scope="module")
def storage(cluster, machine):
    """The datastore's."""
    return S3Storage(machine.environ["CONDA_FLOW_DATASTORE_ROOT"], cluster.client("s3"))


@pytest.fixture(scope="module")
def runs(machine, storage):
    """The runs of the flows, and the states of the DAG's tasks."""
    return run_in_containers(machine, storage, "batch", ON_JOBS, DAG_SHAPE)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("shape", ON_JOBS, ids=shape_name)
def test_jobs_leave_what_local_processes_leave(shape, runs, local_shapes):
    """By hash, every artifact of every task; and each task was a job of its own."""
    run, local = runs[0][shape_name(shape)], local_shapes[shape_name(shape)]
    assert run.exit_code == 0, run.output
    assert run.hashes == local
    assert len(set(re.findall(r"\(job (\S+)\)", run.output))) == len(local)


@pytest.mark.timeout(900)
def test_a_dag_of_jobs_leaves_the_same(runs, storage, local_shapes):
    """In blocks, by ``airflow dags test``; no job on the arms that were not chosen."""
    states = runs[1]
    assert hashes_of_dag_run(storage, DAG_SHAPE, [DAG_SHAPE]) == local_shapes[shape_name(DAG_SHAPE)]
    assert {states[step] for step in ("both", "left", "right", "one")} == {"skipped"}
    assert [states.get(f"inner[{index}]") for index in range(2)] == ["success", None]
