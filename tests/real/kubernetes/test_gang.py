"""The nodes of a ``num_parallel`` as pods that talk to each other."""

from __future__ import annotations

import pytest

from airflow_conda_flow.compute.kubernetes.spec import pod_manifest
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.runner.task_request import TaskRequest
from airflow_conda_flow.settings.loading import load_settings

from ...parts.graphs.gang import GANG_STATUSES, gang_statuses, run_gang_both_ways
from .conftest import root_of


def test_nodes_are_pods(cluster, make_airflow):
    """They run at once and find the main one; where one fails the pods of the others go, and all run again."""
    machine = make_airflow()
    printed = run_gang_both_ways(machine, "kubernetes")
    statuses = gang_statuses(S3Storage(root_of(machine), cluster.server.make_client()))
    assert statuses == [GANG_STATUSES] * 2, printed
    for text in printed:  # pods here are in the node's network
        assert text.count("finds the main one at 127.0.0.1") == 6, text
    cluster.wait_until_empty("ParallelNodes")


def test_pods_of_an_earlier_try_are_ended(cluster, make_machine):
    """Those of the gang's nodes, whatever their attempt, and no other task's."""
    from airflow_conda_flow.airflow.operators.kubernetes_gang import KubernetesGangOperator
    from airflow_conda_flow.compute.kubernetes.cluster import connect

    settings = load_settings(environ=make_machine().environ)

    def make_pod(step, indices, attempt):
        pod = pod_manifest(TaskRequest("Left", "1", step, indices, attempt), {}, settings, {})
        pod["spec"]["containers"][0]["command"] = ["sleep", "100"]
        clusters_own.create_pod(pod)
        return pod["metadata"]["name"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", cluster.kubeconfig)
        clusters_own = connect()
    left = [make_pod("train", (1, 0), 0), make_pod("train", (1, 1), 1)]
    others = [make_pod("train", (0, 0), 0), make_pod("join", (1,), 0)]
    operator = KubernetesGangOperator(
        task_id="train", flow="Left", step="train", kind="linear", decorators={}, indices=[1]
    )
    operator.cluster = lambda _namespace: clusters_own
    operator._end_earlier(
        [TaskRequest("Left", "1", "train", (1, node), 2) for node in range(2)], cluster.namespace
    )
    pods = {
        each["metadata"]["name"]: "deletionTimestamp" in each["metadata"]
        for each in cluster.pods("airflow-conda-flow/flow=Left")
    }
    assert {name: pods.get(name, True) for name in left} == dict.fromkeys(left, True)
    assert {name: pods[name] for name in others} == dict.fromkeys(others, False)
    for pod in cluster.pods("airflow-conda-flow/flow=Left"):
        clusters_own.delete_pod(pod["metadata"]["name"], cluster.namespace, has_ended=True)
