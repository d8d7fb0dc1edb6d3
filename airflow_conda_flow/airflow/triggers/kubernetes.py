"""Trigger that waits in Airflow's triggerer for the pod of a step, and passes its log on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import cached_property
from typing import Any

from airflow.providers.cncf.kubernetes.triggers.pod import ContainerState, KubernetesPodTrigger
from airflow.providers.cncf.kubernetes.utils.pod_manager import AsyncPodManager, PodLaunchTimeoutException
from airflow.triggers.base import TriggerEvent

from airflow_conda_flow.compute.kubernetes import state as pod_state
from airflow_conda_flow.compute.kubernetes.log import OVERLAP_SECONDS, LogPosition
from airflow_conda_flow.compute.kubernetes.spec import CONTAINER
from airflow_conda_flow.compute.kubernetes.start import PodStart
from airflow_conda_flow.errors import TaskFailed
from airflow_conda_flow.runner.attempt_log import shown


class StepPodTrigger(KubernetesPodTrigger):
    """Trigger of Airflow's Kubernetes provider, changed to log every line once and as it was printed.

    ``last_log_time``, in its arguments and its event, is ``str`` of a ``LogPosition`` instead of a time.

    Args:
        not_before: earliest time at which the trigger may fire, in seconds since 1970.
        arguments: arguments of the provider's trigger.
    """

    def __init__(self, *, not_before: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.not_before = not_before

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Path of the class, and the arguments that make the trigger again."""
        _, arguments = super().serialize()
        return f"{__name__}.{type(self).__name__}", {**arguments, "not_before": self.not_before}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the provider's event, but not before ``not_before``."""
        async for event in super().run():
            await asyncio.sleep(max(0.0, self.not_before - time.time()))
            yield event

    @cached_property
    def pod_manager(self) -> AsyncPodManager:
        """Reader of the pod's log."""
        return _LinesOnce(async_hook=self.hook)

    async def _wait_for_pod_start(self) -> ContainerState:
        """Wait until the pod runs, and log what delays it.

        Raises:
            PodLaunchTimeoutException: the pod can never run, or has taken too long.
        """
        # Without last_warning, which would send a blocking request in the event loop.
        start = PodStart(self.startup_timeout)
        while True:
            pod = await self._get_pod()
            if pod_state.has_started(pod) or pod_state.is_over(pod):
                return self.define_pod_container_state(pod)
            try:
                news = start.look(pod)
            except TaskFailed as error:
                raise PodLaunchTimeoutException(str(error)) from None
            if news is not None:
                self.log.info("%s", news)
            await asyncio.sleep(self.startup_check_interval)


class _LinesOnce(AsyncPodManager):
    """Pod manager that logs only the new lines of a container."""

    # Monotonic time of the last reading; in another process it means nothing, so it is not in the event.
    _received: float | None = None

    async def fetch_container_logs_before_current_sec(
        self, pod: Any, container_name: str, since_time: Any = None
    ) -> Any:
        """Log the new lines, and return the position after them.

        Args:
            pod: the pod.
            container_name: ignored: it is always the step's container.
            since_time: ``str`` of a ``LogPosition``; None for the beginning.
        """
        del container_name
        position = LogPosition(since_time or "")
        received, now = self._received, time.monotonic()
        lines = await self._hook.read_logs(
            name=pod.metadata.name,
            namespace=pod.metadata.namespace,
            container_name=CONTAINER,
            since_seconds=None if received is None else int(now - received) + OVERLAP_SECONDS,
        )
        self._received = now
        for line in lines:
            text = position.new_text(line.encode("utf-8", "surrogateescape"))
            if text is not None:
                self.log.info("%s", shown(text))
        return str(position) or None
