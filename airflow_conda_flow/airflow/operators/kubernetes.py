"""Operator for a step with ``@kubernetes``: one pod per attempt."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from kubernetes.client import ApiClient
from kubernetes.config import ConfigException

from airflow_conda_flow.airflow.operators.remote import RemoteStepTask
from airflow_conda_flow.airflow.operators.tries import Opened, Try
from airflow_conda_flow.airflow.sdk import AirflowException
from airflow_conda_flow.compute.kubernetes.board import PodBoard
from airflow_conda_flow.compute.kubernetes.cluster import Cluster
from airflow_conda_flow.compute.kubernetes.pods import Pod
from airflow_conda_flow.compute.kubernetes.refusals import one_line
from airflow_conda_flow.compute.kubernetes.settings import startup_timeout
from airflow_conda_flow.compute.kubernetes.spec import ATTEMPT, CONTAINER, TASK, pod_labels, pod_manifest
from airflow_conda_flow.compute.runner_environ import runner_environ
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.runner.task_request import TaskRequest

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_conda_flow.settings.loading import Settings


class KubernetesStepOperator(RemoteStepTask, KubernetesPodOperator):
    """Operator that runs one step of a flow as a pod."""

    # KubernetesPodOperator's own renderers name fields that are no templates here.
    template_fields_renderers: ClassVar[dict[str, str]] = {}
    ui_color = "#dcf0f5"
    watch = "airflow_conda_flow.airflow.triggers.kubernetes:watched_pod"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(random_name_suffix=False, base_container_name=CONTAINER, deferrable=False, **kwargs)
        self._boards: dict[str, PodBoard] | None = None

    def connect(self, settings: Settings) -> None:
        """Apply the settings in force to the operator's connection to the cluster."""
        self.kubernetes_conn_id = settings.texts["kubernetes_conn_id"].text or None
        self.cluster_context = settings.texts["kubernetes_context"].text or None
        self.startup_timeout_seconds = startup_timeout(settings)

    def share(self, opened: Opened) -> None:
        """Connect to the cluster once: copies of the operator share its client, and a watch of their pods."""
        self.connect(opened.settings)
        self._connected()
        self._boards = {}

    def task_left(self, context: Context, tried: Try) -> tuple[Pod, int] | None:
        """Pod that an earlier try of this task left behind; None without one."""
        if context["ti"].try_number <= 1:
            return None
        namespace = self._namespace(context, tried)
        labels = {**pod_labels(tried.request), **self._get_ti_pod_labels(context, include_try_number=False)}
        # Any attempt: the pod of the earlier try carries the earlier number.
        del labels[ATTEMPT]
        pods = self.cluster(namespace).find_pods(namespace, labels)
        alive = [
            (int(pod.metadata.labels[ATTEMPT]), pod)
            for pod in pods
            if pod.metadata.deletion_timestamp is None and int(pod.metadata.labels[ATTEMPT]) >= tried.first
        ]
        if not alive:
            return None
        attempt, found = max(alive, key=lambda each: each[0])
        self.pod = found
        metadata = {"name": found.metadata.name, "namespace": namespace}
        return self._task({"metadata": metadata}, tried.request), attempt

    def new_task(self, context: Context, tried: Try) -> Pod:
        """Pod for the attempt of this try."""
        self.pod = pod = self.make_pod(context, tried, tried.request)
        self.log.info("Making pod %s in namespace %s", pod.metadata.name, pod.metadata.namespace)
        return self._task(ApiClient().sanitize_for_serialization(pod), tried.request)

    def watch_arguments(self, tried: Try) -> dict[str, Any]:
        """Connection and limit of the pod."""
        return {
            "conn_id": self.kubernetes_conn_id,
            "context": self.cluster_context,
            "startup_timeout": startup_timeout(tried.settings),
        }

    def build_pod_request_obj(self, context: Context | None = None, **keywords: Any) -> Any:
        """Pod of the attempt, with Airflow's own labels, after its ``pod_mutation_hook``.

        Args:
            context: Airflow's context of the task.
            keywords: what the provider of this version knows besides, such as ``dry_run``.
        """
        # With do_xcom_push the KubernetesPodOperator adds a sidecar that waits for the container's result.
        # Ours is the value that execute returns, so the flag is off while the pod is built.
        pushes, self.do_xcom_push = self.do_xcom_push, False
        try:
            return super().build_pod_request_obj(context, **keywords)
        finally:
            self.do_xcom_push = pushes

    def make_pod(self, context: Context, tried: Try, request: TaskRequest) -> Any:
        """Pod of an attempt, as a ``V1Pod``."""
        self._connected()  # the connection may name the namespace
        environ = runner_environ(tried.settings, tried.datastore.storage)
        self.full_pod_spec = _model(pod_manifest(request, self.decorators, tried.settings, environ))
        return self.build_pod_request_obj(context)

    def cluster(self, namespace: str) -> Cluster:
        """Cluster of the operator's connection."""
        return Cluster(self._connected(), namespace)

    def _connected(self) -> Any:
        """Client of the cluster that Airflow's connection names.

        Raises:
            SettingError: the connection does not exist, or it or a kubeconfig names no cluster.
        """
        try:
            return self.client
        except (ConfigException, AirflowException) as error:
            raise SettingError(
                f"No Kubernetes cluster is configured: {one_line(error)}. Looked at Airflow's connection "
                f"{self.kubernetes_conn_id!r} (kubernetes_conn_id), and at KUBECONFIG."
            ) from error

    def _namespace(self, context: Context, tried: Try) -> str:
        return str(self.make_pod(context, tried, tried.request).metadata.namespace)

    def _task(self, manifest: dict[str, Any], request: TaskRequest) -> Pod:
        namespace = manifest["metadata"]["namespace"]
        labels = pod_labels(request)
        del labels[ATTEMPT]
        if self._boards is None:
            # Those of this task alone: each worker has one task, and should not hear of all others' pods.
            board = PodBoard(self.cluster(namespace), namespace, labels)
        else:
            del labels[TASK]
            board = self._boards.setdefault(namespace, PodBoard(self.cluster(namespace), namespace, labels))
        return Pod(
            board,
            manifest,
            lambda line: self.log.info("%s", line),
            self.startup_timeout_seconds,
        )


def _model(manifest: dict[str, Any]) -> Any:
    """Pod in Kubernetes' JSON as a ``V1Pod`` of its client.

    Raises:
        SettingError: an attribute of the step, or the pod template, lacks what Kubernetes requires.
    """
    # The client's only public way from JSON to its classes is to deserialize a response.
    try:
        return ApiClient().deserialize(SimpleNamespace(data=json.dumps(manifest)), "V1Pod")
    except (AttributeError, TypeError, ValueError) as error:
        raise SettingError(
            f"The pod of the step is not one that Kubernetes accepts: {error}. See the attributes of "
            "@kubernetes, and kubernetes_pod_template."
        ) from error
