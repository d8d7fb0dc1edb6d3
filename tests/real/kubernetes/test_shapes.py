"""Some shapes with each of its tasks in a pod, from the command line; one as a DAG."""

from __future__ import annotations

import re

import pytest

from airflow_conda_flow.datastore.s3_storage import S3Storage

from ...parts.airflow_machine import AirflowMachine
from ...parts.graphs.shape_runs import hashes_of_dag_run, run_in_containers
from ...parts.graphs.shapes import ON_PODS, shape_name

DAG_SHAPE = ("switch_in_foreach", {})


@pytest.fixture(scope="module")
def machine(cluster, database, tmp_path_factory):
    """Where all runs are started, with one datastore. Of four splits, Airflow maps two, and a block of two."""
    home = tmp_path_factory.mktemp("shapes") / "home"
    environ = {**cluster.environ(cluster.server.make_root()), "CONDA_FLOW_FOREACH_TASKS": "3"}
    return AirflowMachine(home, "unused", database, **environ)


@pytest.fixture(scope="module")
def storage(cluster, machine):
    """The datastore's."""
    return S3Storage(machine.environ["CONDA_FLOW_DATASTORE_ROOT"], cluster.server.make_client())


@pytest.fixture(scope="module")
def runs(machine, storage):
    """The runs of the flows, and the states of the DAG's tasks."""
    return run_in_containers(machine, storage, "kubernetes", ON_PODS, DAG_SHAPE)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("shape", ON_PODS, ids=shape_name)
def test_pods_leave_what_local_processes_leave(shape, runs, local_shapes):
    """By hash, every artifact of every task; and each task was a pod of its own."""
    run, local = runs[0][shape_name(shape)], local_shapes[shape_name(shape)]
    assert run.exit_code == 0, run.output
    assert run.hashes == local
    assert len(set(re.findall(r"\(pod (\S+)\)", run.output))) == len(local)


@pytest.mark.timeout(900)
def test_a_dag_of_pods_leaves_the_same(runs, storage, local_shapes):
    """Alone and in a block, by ``airflow dags test``; no pod for a split that goes another way."""
    states = runs[1]
    assert hashes_of_dag_run(storage, DAG_SHAPE, [DAG_SHAPE]) == local_shapes[shape_name(DAG_SHAPE)]
    assert [states.get(f"body[{index}]") for index in range(4)] == ["success"] * 3 + [None]
    assert [states[f"low[{index}]"] for index in range(3)] == ["success"] * 2 + ["skipped"]
