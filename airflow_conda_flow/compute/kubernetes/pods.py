"""Compute that runs attempts as pods of Kubernetes, created by this process."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from airflow_conda_flow.compute.compute import RunContext
from airflow_conda_flow.compute.kubernetes import state as pod_state
from airflow_conda_flow.compute.kubernetes.board import PodBoard
from airflow_conda_flow.compute.kubernetes.cluster import Cluster, connect
from airflow_conda_flow.compute.kubernetes.log import LogPosition
from airflow_conda_flow.compute.kubernetes.settings import startup_timeout
from airflow_conda_flow.compute.kubernetes.spec import pod_manifest, run_labels
from airflow_conda_flow.compute.kubernetes.watch import PodWatch
from airflow_conda_flow.compute.remote_attempt import End, run_to_end
from airflow_conda_flow.compute.runner_environ import runner_environ
from airflow_conda_flow.errors import TaskFailed
from airflow_conda_flow.runner.attempt import Output
from airflow_conda_flow.runner.manifest_line import NOTHING, ToldManifest
from airflow_conda_flow.runner.task_request import TaskRequest, TaskResult


class Pod:
    """A pod that runs an attempt: the ``RemoteTask`` of Kubernetes.

    Args:
        board: the states of pods in the pod's namespace.
        manifest: the pod as JSON, with its namespace; of a pod that exists already, name and namespace are
            enough.
        emit: receives the lines of the log, and messages about the pod.
        startup_timeout: seconds that the pod may wait for a node, and again on the node until its container
            runs.
        position: position to resume the log from; None for its beginning.
    """

    def __init__(
        self,
        board: PodBoard,
        manifest: dict[str, Any],
        emit: Callable[[str], None],
        startup_timeout: float,
        position: LogPosition | None = None,
    ) -> None:
        self.name: str = manifest["metadata"]["name"]
        self.namespace: str = manifest["metadata"]["namespace"]
        self._cluster = board.cluster
        self._manifest = manifest
        self._told = ToldManifest(emit=emit)
        self._watch = PodWatch(board, self.name, self._told.line, startup_timeout, position)
        self._end = End(None, f"Pod {self.name} was never looked at.")

    @property
    def title(self) -> str:
        """Name of the pod for people."""
        return f"pod {self.name}"

    @property
    def is_over(self) -> bool:
        """True if the pod had ended at the last look."""
        return self._watch.is_over

    def start(self) -> None:
        """Create the pod."""
        self._cluster.create_pod(self._manifest)

    def follow(self, cancel: threading.Event, is_done: Callable[[], bool], seconds: float = math.inf) -> None:
        """Pass the log on and wait, until the pod has ended or the time is up."""
        try:
            # Without the digest of what it has committed, a manifest that says "done" may be another's.
            pod = self._watch.watch(cancel, lambda: self._has_told and is_done(), seconds)
            self._end = pod_state.end_of(pod, self.name)
        except TaskFailed as error:  # it cannot start
            self._end = End(str(error), has_run=False)

    @property
    def _has_told(self) -> bool:
        return self._told.sha256 not in {None, NOTHING}

    def end(self) -> End:
        """How the pod ended."""
        return replace(self._end, manifest=self._told.sha256)

    def remove(self, *, wait: bool) -> None:
        """Delete the pod."""
        self._watch.remove(wait=wait)

    def hand_over(self) -> dict[str, Any]:
        """Name, namespace, and the position of the log with what it has told."""
        position = str(self._watch.hand_over())
        told = {"position": position, "manifest": self._told.sha256}
        return {"name": self.name, "namespace": self.namespace, **told}


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
        self._boards: dict[tuple[str, str], PodBoard] = {}
        self._mutex = threading.Lock()

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
        board = self._board(manifest["metadata"]["namespace"], request)
        pod = Pod(board, manifest, lambda line: output("stdout", line), self._startup_timeout)
        return run_to_end(pod, self._context.datastore.storage, request, on_start, cancel)

    def _board(self, namespace: str, request: TaskRequest) -> PodBoard:
        """Board of the pods of the request's run in a namespace."""
        key = (namespace, request.run_id)
        with self._mutex:
            if key not in self._boards:
                self._boards[key] = PodBoard(self._cluster, namespace, run_labels(request))
            return self._boards[key]
