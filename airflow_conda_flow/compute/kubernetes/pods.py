"""Compute that runs attempts as pods of Kubernetes, created by this process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from airflow_conda_flow.compute.compute import RunContext
from airflow_conda_flow.compute.kubernetes import state as pod_state
from airflow_conda_flow.compute.kubernetes.cluster import Cluster, connect
from airflow_conda_flow.compute.kubernetes.settings import startup_timeout
from airflow_conda_flow.compute.kubernetes.spec import pod_manifest
from airflow_conda_flow.compute.kubernetes.watch import PodWatch
from airflow_conda_flow.compute.remote_result import is_done, remote_result
from airflow_conda_flow.compute.runner_environ import runner_environ
from airflow_conda_flow.errors import ComputeUnavailable, TaskFailed
from airflow_conda_flow.runner.attempt import Output
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult


class Kubernetes:
    """Compute that runs attempts as pods of Kubernetes.

    Args:
        context: the run.
        cluster: the cluster; if None, the one of the settings.
        make_pod: returns the pod of an attempt, as JSON; if None, the pod follows from the step's decorators
            and the settings.

    Raises:
        SettingError: no cluster is configured, or a setting is wrong.
    """

    def __init__(
        self,
        context: RunContext,
        cluster: Cluster | None = None,
        make_pod: Callable[[TaskRequest], dict[str, Any]] | None = None,
    ) -> None:
        self._context = context
        self._cluster = cluster or connect(context.settings.texts["kubernetes_context"].text)
        self._make_pod = make_pod or self._pod
        self._environ = runner_environ(context.settings, context.datastore.storage)
        self._startup_timeout = startup_timeout(context.settings)

    def _pod(self, request: TaskRequest) -> dict[str, Any]:
        context = self._context
        decorators = context.run.decorators_of(request.step)
        return pod_manifest(request, decorators, context.settings, self._environ)

    def run(
        self,
        request: TaskRequest,
        output: Output,
        on_start: Callable[[str], None],
        cancel: threading.Event,
    ) -> TaskResult:
        """Run one attempt to its end; see ``Compute.run``."""
        manifest = self._make_pod(request)
        manifest["metadata"].setdefault("namespace", self._cluster.namespace)
        pod = PodWatch(
            self._cluster,
            manifest["metadata"]["name"],
            manifest["metadata"]["namespace"],
            lambda line: output("stdout", line),
            self._startup_timeout,
        )
        storage = self._context.datastore.storage
        on_start(f"pod {pod.name}")
        try:
            if not cancel.is_set():
                self._cluster.create_pod(manifest)
            last = pod.watch(cancel, lambda: is_done(storage, request))
            fate = pod_state.fate(last, pod.name)
        except (ComputeUnavailable, TaskFailed) as error:
            last, fate = None, str(error)
        finally:
            # When cancelled, wait: nothing of the run may be left running. Else the pod has ended by itself.
            pod.remove(wait=cancel.is_set())
        silent = pod_state.silent_end(last, pod.name)
        return remote_result(storage, request, fate, silent, cancelled=cancel.is_set())
