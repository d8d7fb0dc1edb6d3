"""Every shape of a graph with each of its tasks in a pod, from the command line; one as a DAG."""

from __future__ import annotations

import re

import pytest

from airflow_conda_flow.datastore.s3_storage import S3Storage

from ..airflow.conftest import AirflowMachine
from ..flow_machine import Machine
from ..graphs.shape_runs import copy_dags, hashes_of_dag_run, run_dags, run_shapes
from ..graphs.shapes import SHAPES, shape_name

pytestmark = pytest.mark.xdist_group("shapes-in-pods")


@pytest.fixture(scope="module")
def pod_runs(cluster, tmp_path_factory):
    """The run of every shape, several side by side."""
    root = cluster.server.make_root()
    machine = Machine(tmp_path_factory.mktemp("shapes") / "home", **cluster.environ(root))
    storage = S3Storage(root, cluster.server.make_client())
    return run_shapes(machine, storage, "--with", "kubernetes", at_once=4)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("shape", SHAPES, ids=shape_name)
def test_pods_leave_what_local_processes_leave(shape, pod_runs, local_shapes):
    """By hash, every artifact of every task; and each task was a pod of its own."""
    run, local = pod_runs[shape_name(shape)], local_shapes[shape_name(shape)]
    assert run.exit_code == 0, run.output
    assert run.hashes == local
    assert len(set(re.findall(r"\(pod (\S+)\)", run.output))) == len(local)


DAG_SHAPE = ("switch_in_foreach", {})


@pytest.mark.timeout(600)
def test_a_dag_of_pods_leaves_the_same(cluster, database, tmp_path, local_shapes):
    """By ``airflow dags test``: the same artifacts, and no pod for a split that goes another way."""
    root = cluster.server.make_root()
    machine = AirflowMachine(tmp_path / "home", "unused", database, **cluster.environ(root))
    copy_dags([DAG_SHAPE], machine.dags, decorators=["kubernetes"])
    states = run_dags(machine, [DAG_SHAPE])[shape_name(DAG_SHAPE)]["states"]
    storage = S3Storage(root, cluster.server.make_client())
    assert hashes_of_dag_run(storage, DAG_SHAPE, [DAG_SHAPE]) == local_shapes[shape_name(DAG_SHAPE)]
    assert [states[f"low[{index}]"] for index in range(6)] == ["success"] * 2 + ["skipped"] * 4
