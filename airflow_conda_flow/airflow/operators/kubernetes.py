"""Operator for a step with ``@kubernetes``: one pod per try."""

from __future__ import annotations

import json
import math
import threading
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from kubernetes.client import ApiClient

from airflow_conda_flow.airflow.configuration import airflow_settings
from airflow_conda_flow.airflow.failures import as_airflow_error
from airflow_conda_flow.airflow.operators.deferral import defers, earliest_return, worker_seconds
from airflow_conda_flow.airflow.operators.step import StepTask
from airflow_conda_flow.airflow.triggers.kubernetes import StepPodTrigger
from airflow_conda_flow.compute.kubernetes import state as pod_state
from airflow_conda_flow.compute.kubernetes.cluster import Cluster
from airflow_conda_flow.compute.kubernetes.log import LogPosition
from airflow_conda_flow.compute.kubernetes.settings import startup_timeout
from airflow_conda_flow.compute.kubernetes.spec import ATTEMPT, CONTAINER, pod_labels, pod_manifest
from airflow_conda_flow.compute.kubernetes.watch import PodWatch
from airflow_conda_flow.compute.remote_result import is_done, remote_result
from airflow_conda_flow.compute.runner_environ import runner_environ
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import ComputeUnavailable, CondaFlowError, TaskFailed
from airflow_conda_flow.runner.task_request import TaskRequest
from airflow_conda_flow.settings.loading import Settings

if TYPE_CHECKING:
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
    from airflow.sdk import Context

# Intervals of the triggerer, in seconds. One triggerer may watch hundreds of pods, and each look is a
# request.
_LOOKS = 1.0  # between two looks at a pod that starts; short, to report obstacles soon
_POLL = 2.0  # between two looks at a pod that runs
_LOG_INTERVAL = 5  # between two readings of a pod's log
# Airflow's own timeout of a deferred task fails it without this operator's code. It must come after the
# trigger's deadline, which resumes the operator, so that the pod is removed.
_DEADLINE_SLACK = timedelta(seconds=60)


@dataclass(frozen=True)
class _Work:
    """One attempt, with everything that is needed to run it.

    Attributes:
        own: request of the attempt that belongs to Airflow's current try.
        request: request of the attempt that the pod runs; an earlier one for a pod that an earlier try left.
        storage: the datastore's storage.
        settings: the settings in force.
    """

    own: TaskRequest
    request: TaskRequest
    storage: Storage
    settings: Settings

    def of_node(self, request: TaskRequest) -> _Work:
        """Copy for one node of a ``num_parallel``."""
        return replace(self, own=request, request=request)

    def of_attempt(self, attempt: int) -> _Work:
        """Copy for a pod that runs the given attempt."""
        return replace(self, request=replace(self.own, attempt=attempt))


class KubernetesStepOperator(StepTask, KubernetesPodOperator):
    """Operator that runs one step of a flow as a pod."""

    # KubernetesPodOperator's own renderers name fields that are no templates here.
    template_fields_renderers: ClassVar[dict[str, str]] = {}
    ui_color = "#dcf0f5"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(random_name_suffix=False, base_container_name=CONTAINER, deferrable=False, **kwargs)

    def execute(self, context: Context) -> list[list[int]] | None:
        """Run the step's next attempt in a pod, or wait for the pod of a try whose worker was lost."""
        try:
            return self._run(context, self._work(context), can_reattach=True)
        except CondaFlowError as error:
            raise as_airflow_error(error) from None

    def trigger_reentry(self, context: Context, event: dict[str, Any]) -> list[list[int]] | None:
        """Conclude the attempt after the triggerer has waited for its pod."""
        try:
            work = self._work(context).of_attempt(event["attempt"])
            self.pod = _named(event["name"], event["namespace"])
            given_up = event["message"] if event["status"] == "timeout" else None
            position = LogPosition(event.get("last_log_time") or "")
            return self._watch(context, work, position=position, given_up=given_up)
        except CondaFlowError as error:
            raise as_airflow_error(error) from None

    def on_kill(self) -> None:
        """Delete the pod."""
        if self._cancel is not None:
            self._cancel.set()
        super().on_kill()

    def build_pod_request_obj(self, context: Context | None = None, *, dry_run: bool = False) -> Any:
        """Pod of the attempt, with Airflow's own labels, after its ``pod_mutation_hook``."""
        # With do_xcom_push the KubernetesPodOperator adds a sidecar that waits for the container's result.
        # Ours is the value that execute returns, so the flag is off while the pod is built.
        pushes, self.do_xcom_push = self.do_xcom_push, False
        try:
            return super().build_pod_request_obj(context, dry_run=dry_run)
        finally:
            self.do_xcom_push = pushes

    def _work(self, context: Context) -> _Work:
        """Attempt to run; also applies the current settings to this operator's connection."""
        request, datastore, _ = self.open(context)
        settings = airflow_settings()
        self.kubernetes_conn_id = settings.texts["kubernetes_conn_id"].text or None
        self.cluster_context = settings.texts["kubernetes_context"].text or None
        self.startup_timeout_seconds = startup_timeout(settings)
        return _Work(request, request, datastore.storage, settings)

    def _run(self, context: Context, work: _Work, *, can_reattach: bool) -> list[list[int]] | None:
        pod = self._make_pod(context, work)
        namespace = pod.metadata.namespace
        found = self._unattended(context, work.request, namespace) if can_reattach else None
        if found is not None:
            self.log.info("Pod %s runs this step already; waiting for it.", found.metadata.name)
            work = work.of_attempt(int(found.metadata.labels[ATTEMPT]))
            pod = found
        self.pod = pod
        if found is None:
            self.log.info("Making pod %s in namespace %s", pod.metadata.name, namespace)
            self._cluster(namespace).create_pod(ApiClient().sanitize_for_serialization(pod))
        return self._watch(context, work, worker_seconds(work.settings))

    def _make_pod(self, context: Context, work: _Work) -> Any:
        environ = runner_environ(work.settings, work.storage)
        manifest = pod_manifest(work.request, self.decorators, work.settings, environ)
        self.full_pod_spec = _model(manifest)
        return self.build_pod_request_obj(context)

    def _pod(self) -> Any:
        """Pod that this try created or found; a method, because the base class types ``pod`` as optional."""
        return self.pod

    def _cluster(self, namespace: str) -> Cluster:
        return Cluster(self.client, namespace)

    def _unattended(self, context: Context, request: TaskRequest, namespace: str) -> Any | None:
        """Pod that an earlier try of this task left behind because its worker was lost; None without one."""
        if context["ti"].try_number <= 1:
            return None
        labels = {**pod_labels(request), **self._get_ti_pod_labels(context, include_try_number=False)}
        # Any attempt: the pod of the earlier try carries the earlier number.
        del labels[ATTEMPT]
        pods = self._cluster(namespace).find_pods(namespace, labels)
        alive = [pod for pod in pods if pod.metadata.deletion_timestamp is None]
        return max(alive, key=lambda pod: int(pod.metadata.labels[ATTEMPT]), default=None)

    def _defer(self, context: Context, work: _Work, position: LogPosition) -> None:
        self.convert_config_file_to_dict()  # type: ignore[no-untyped-call]
        pod, hook = self._pod(), cast("KubernetesHook", self.hook)
        end: dict[str, Any] = {}
        timeout: timedelta | None = None
        if self.execution_timeout is not None:
            started = context["ti"].start_date or datetime.now(timezone.utc)
            end["_execution_deadline"] = int(started.timestamp() + self.execution_timeout.total_seconds())
            timeout = timedelta(seconds=max(0, end["_execution_deadline"] - time.time())) + _DEADLINE_SLACK
        self.defer(
            trigger=StepPodTrigger(
                pod_name=pod.metadata.name,
                pod_namespace=pod.metadata.namespace,
                trigger_start_time=datetime.now(timezone.utc),
                base_container_name=CONTAINER,
                kubernetes_conn_id=self.kubernetes_conn_id,
                connection_extras=hook.conn_extras,
                cluster_context=self.cluster_context,
                config_dict=self._config_dict,
                poll_interval=_POLL,
                startup_timeout=self.startup_timeout_seconds,
                startup_check_interval=_LOOKS,
                logging_interval=_LOG_INTERVAL,
                last_log_time=str(position) or None,
                not_before=earliest_return(),
                trigger_kwargs={"attempt": work.request.attempt, **end},
            ),
            method_name="trigger_reentry",
            timeout=timeout,
        )

    def _watch(
        self,
        context: Context,
        work: _Work,
        seconds: float = math.inf,
        position: LogPosition | None = None,
        given_up: str | None = None,
    ) -> list[list[int]] | None:
        """Wait for the pod's end in the worker and conclude the attempt, or defer it to the triggerer.

        Args:
            context: Airflow's context of the task.
            work: the attempt that the pod runs.
            seconds: how long to wait in the worker before deferring.
            position: position to resume the log from; None for its beginning.
            given_up: message of a triggerer that has stopped waiting for the pod; else None.
        """
        # Not created in __init__: Airflow copies operators, and an Event has a lock, which cannot be copied.
        self._cancel = threading.Event()
        metadata = self._pod().metadata
        name, namespace = metadata.name, metadata.namespace
        watch = PodWatch(
            self._cluster(namespace),
            name,
            namespace,
            lambda line: self.log.info("%s", line),
            self.startup_timeout_seconds,
            position,
        )
        handed_over = False

        def done() -> bool:
            return is_done(work.storage, work.request)

        try:
            if given_up is not None:
                raise TaskFailed(given_up)  # noqa: TRY301 - handled as if watch had raised it
            last = watch.watch(self._cancel, done, seconds)
            if not watch.is_over and not self._cancel.is_set():
                # _defer raises TaskDeferred, which leaves this function; the pod must survive the finally.
                if handed_over := defers(work.settings):
                    self._defer(context, work, watch.hand_over())
                last = watch.watch(self._cancel, done)
            fate = pod_state.fate(last, name)
        except (ComputeUnavailable, TaskFailed) as error:
            last, fate = None, str(error)
        finally:
            if not handed_over:
                watch.remove(wait=False)
        silent = pod_state.silent_end(last, name)
        cancelled = self._cancel.is_set()
        result = remote_result(work.storage, work.request, fate, silent, cancelled=cancelled)
        # The pod may be that of an earlier try whose worker was lost. Its failure uses up that try, not
        # this one.
        if not result.ok and not cancelled and work.request.attempt < work.own.attempt:
            self.log.info("Pod %s, of an earlier try, failed; this try has one of its own.", name)
            return self._run(context, work.of_attempt(work.own.attempt), can_reattach=False)
        return self.conclude(context, result)


def _model(manifest: dict[str, Any]) -> Any:
    """Pod in Kubernetes' JSON as a ``V1Pod`` of its client."""
    # The client's only public way from JSON to its classes is to deserialize a response.
    return ApiClient().deserialize(SimpleNamespace(data=json.dumps(manifest)), "V1Pod")


def _named(name: str, namespace: str) -> Any:
    """Placeholder ``V1Pod`` of which only the name and the namespace are known."""
    return _model({"metadata": {"name": name, "namespace": namespace}, "spec": {"containers": []}})
