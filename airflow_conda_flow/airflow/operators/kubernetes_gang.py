"""Operator for the nodes of a ``num_parallel`` with ``@kubernetes``: one pod per node, created at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kubernetes.client import ApiClient

from airflow_conda_flow.airflow.operators.gang import GangTask
from airflow_conda_flow.airflow.operators.kubernetes import KubernetesStepOperator
from airflow_conda_flow.airflow.operators.tries import Try
from airflow_conda_flow.compute.compute import Compute, RunContext
from airflow_conda_flow.compute.kubernetes.pods import Kubernetes
from airflow_conda_flow.compute.kubernetes.spec import LABEL, pod_labels
from airflow_conda_flow.runner.task_request import TaskRequest

if TYPE_CHECKING:
    from airflow.sdk import Context


class KubernetesGangOperator(GangTask, KubernetesStepOperator):
    """Operator that runs the nodes of a step as pods, and waits for them in the worker."""

    def compute(
        self, context: Context, requests: Sequence[TaskRequest], tried: Try, run: RunContext
    ) -> Compute:
        """Compute that creates the pods; first deletes the pods of an earlier try whose worker was lost."""
        # All pods are built here: build_pod_request_obj uses the operator's state, and nodes start in
        # threads.
        self.connect(tried.settings)
        pods = {each.indices: self.make_pod(context, tried, each) for each in requests}
        namespace = pods[requests[0].indices].metadata.namespace
        self._end_earlier(requests, namespace)
        made: dict[Any, Any] = ApiClient().sanitize_for_serialization(pods)
        return Kubernetes(run, self.cluster(namespace), lambda request: made[request.indices])

    def _end_earlier(self, requests: Sequence[TaskRequest], namespace: str) -> None:
        cluster = self.cluster(namespace)
        names = [f"{LABEL}{name}" for name in ("flow", "run-id", "step")]
        nodes = {pod_labels(each)[f"{LABEL}task-id"] for each in requests}
        labels = pod_labels(requests[0])
        for pod in cluster.find_pods(namespace, {name: labels[name] for name in names}):
            if pod.metadata.labels.get(f"{LABEL}task-id") in nodes:
                self.log.info("Ending pod %s of an earlier try.", pod.metadata.name)
                cluster.delete_pod(pod.metadata.name, namespace)
