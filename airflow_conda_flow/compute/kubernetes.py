"""Tasks as pods, made from the machine where the run was started."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from airflow_conda_flow.compute import pod_state
from airflow_conda_flow.compute.compute import RunContext
from airflow_conda_flow.compute.kubernetes_cluster import Cluster, connect
from airflow_conda_flow.compute.pod_log import PodLog
from airflow_conda_flow.compute.pod_settings import startup_timeout
from airflow_conda_flow.compute.pod_spec import pod_manifest
from airflow_conda_flow.compute.remote_result import is_done, remote_result
from airflow_conda_flow.compute.runner_environ import runner_environ
from airflow_conda_flow.errors import ComputeUnavailable, TaskFailed
from airflow_conda_flow.runner.attempt import Output, TaskRequest, TaskResult

_FIRST_LOOK, _LAST_LOOK = 0.2, 2.0  # seconds between two looks at a pod: often at first, then less
_BLINK = 0.1  # seconds until an interrupt, or the end of the log, is noticed
_GRACE = 45.0  # seconds for a pod to go: Kubernetes kills after 30


class Kubernetes:
    """Runs attempts as pods.

    Args:
        context: the run.

    Raises:
        SettingError: no cluster is configured, or a setting is wrong.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._cluster = connect(context.settings.texts["kubernetes_context"].text)
        self._environ = runner_environ(context.settings, context.datastore.storage)
        self._startup_timeout = startup_timeout(context.settings)

    def run(
        self,
        request: TaskRequest,
        output: Output,
        on_start: Callable[[str], None],
        cancel: threading.Event,
    ) -> TaskResult:
        """Run one attempt to its end; see ``Compute.run``."""
        context = self._context
        decorators = context.manifest["decorators"][request.step]
        manifest = pod_manifest(request, decorators, context.settings, self._environ)
        manifest["metadata"].setdefault("namespace", self._cluster.namespace)
        pod = _Pod(self._cluster, manifest, lambda line: output("stdout", line), self._startup_timeout)
        storage = context.datastore.storage
        on_start(f"pod {pod.name}")
        try:
            if not cancel.is_set():
                self._cluster.create_pod(manifest)
            last = pod.watch(cancel, lambda: is_done(storage, request))
            fate = pod_state.fate(last, pod.name)
        except (ComputeUnavailable, TaskFailed) as error:
            last, fate = None, str(error)
        finally:
            pod.remove(wait=cancel.is_set())
        if cancel.is_set():
            fate = "The task was ended before it finished."
        return remote_result(storage, request, fate, pod_state.silent_end(last, pod.name))


class _Pod:
    """One pod from its making to its end."""

    def __init__(
        self,
        cluster: Cluster,
        manifest: dict[str, Any],
        emit: Callable[[str], None],
        startup_timeout: float,
    ) -> None:
        self.name: str = manifest["metadata"]["name"]
        self._namespace: str = manifest["metadata"]["namespace"]
        self._cluster = cluster
        self._emit = emit
        self._startup_timeout = startup_timeout
        self._is_over = threading.Event()
        self._log_paused = threading.Event()
        self._log_thread: threading.Thread | None = None
        self._said: str | None = None
        self._met_obstacle: tuple[str, float] | None = None

    def watch(self, cancel: threading.Event, is_done: Callable[[], bool]) -> Any | None:
        """The pod when the attempt has ended, None if it is gone; returns early when cancelled.

        Args:
            cancel: when set, the pod is left as it is.
            is_done: whether the attempt is committed as done.

        Raises:
            TaskFailed: it cannot start.
            ComputeUnavailable: the cluster cannot be asked.
        """
        begun = time.monotonic()
        scheduled = False
        pause = _FIRST_LOOK
        while True:
            pod = self._cluster.read_pod(self.name, self._namespace)
            if pod is None or pod_state.is_over(pod):
                return self._ended(pod)
            if pod_state.has_started(pod):
                self._follow_log()
            else:
                if not scheduled and pod_state.is_scheduled(pod):
                    scheduled, begun = True, time.monotonic()
                self._look_at_obstacle(pod, begun)
            if self._wait(pause, cancel):
                return pod
            # The log ends with the container; what the cluster says of it lags behind by a second or two.
            if self._log_paused.is_set() and is_done():
                return self._ended(pod)
            self._log_paused.clear()
            pause = min(pause * 1.3, _LAST_LOOK)

    def remove(self, *, wait: bool) -> None:
        """Delete the pod; with ``wait``, return when it is gone."""
        # What the task came to is known; a cluster that does not answer must not hide it.
        with contextlib.suppress(ComputeUnavailable):
            self._cluster.delete_pod(self.name, self._namespace)
            deadline = time.monotonic() + _GRACE
            while wait and time.monotonic() < deadline:
                if self._cluster.read_pod(self.name, self._namespace) is None:
                    break
                time.sleep(_FIRST_LOOK)
        self._is_over.set()
        if self._log_thread is not None:
            self._log_thread.join(_LAST_LOOK)

    def _ended(self, pod: Any | None) -> Any | None:
        """The pod, when all of its log was passed on."""
        if pod is not None and pod_state.has_started(pod):
            self._follow_log()
        self._is_over.set()
        if self._log_thread is not None:
            self._log_thread.join()
        return pod

    def _follow_log(self) -> None:
        if self._log_thread is None:
            log = PodLog(self._cluster.api, self.name, self._namespace, self._emit)
            self._log_thread = threading.Thread(
                target=log.follow,
                args=(self._is_over.is_set, self._log_paused.set),
                name=f"log of {self.name}",
                daemon=True,
            )
            self._log_thread.start()

    def _look_at_obstacle(self, pod: Any, since: float) -> None:
        """Say once what the pod waits for; give it up when it waited too long."""
        waited = time.monotonic() - since
        found = pod_state.obstacle(pod)
        if found is None:
            self._met_obstacle = None
        else:
            if self._met_obstacle is None or self._met_obstacle[0] != found.message:
                first = time.monotonic() if self._met_obstacle is None else self._met_obstacle[1]
                self._met_obstacle = (found.message, first)
            if found.patience is not None and time.monotonic() - self._met_obstacle[1] >= found.patience:
                raise TaskFailed(found.message)
            self._say(found.message, waited)
        if waited >= self._startup_timeout:
            warning = self._cluster.last_warning(self.name, self._namespace)
            reason = found.message if found is not None else warning or f"Pod {self.name} does not start."
            raise TaskFailed(
                f"{reason} It was given up after {waited:.0f} s; "
                "CONDA_FLOW_KUBERNETES_STARTUP_TIMEOUT sets how many."
            )

    def _say(self, message: str, waited: float) -> None:
        if waited >= 1 and message != self._said:
            self._said = message
            self._emit(message)

    def _wait(self, seconds: float, cancel: threading.Event) -> bool:
        """Wait until the next look is due, or the log has paused; True if cancelled."""
        due = time.monotonic() + seconds
        while not cancel.wait(_BLINK):
            if time.monotonic() >= due or self._log_paused.is_set():
                return False
        return True
