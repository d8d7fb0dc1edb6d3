"""Finds the unfinished pods of a flow, such as those that a killed run left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from airflow_conda_flow.compute.kubernetes.cluster import connect
from airflow_conda_flow.compute.kubernetes.spec import LABEL, label_value
from airflow_conda_flow.compute.unfinished import Unfinished
from airflow_conda_flow.settings.loading import Settings

_ENDED = ("Succeeded", "Failed")


def unfinished_pods(
    settings: Settings, flow: str, decorators: Mapping[str, Mapping[str, Any]]
) -> Iterator[Unfinished]:
    """Unfinished pods of the flow, in the namespaces that the settings and its decorators name.

    Raises:
        SettingError: no cluster is configured.
        ComputeUnavailable: the cluster cannot be reached.
    """
    cluster = connect(settings.texts["kubernetes_context"].text)
    own = ((step.get("kubernetes") or {}).get("namespace") for step in decorators.values())
    usual = settings.texts["kubernetes_namespace"].text or cluster.namespace
    for namespace in sorted({usual, *filter(None, own)}):
        for pod in cluster.find_pods(namespace, {f"{LABEL}flow": label_value(flow)}):
            task = (pod.metadata.annotations or {}).get(f"{LABEL}task", "")
            # The annotation has the exact name of the attempt; labels are shortened to 63 characters.
            if pod.status.phase not in _ENDED and task:
                yield Unfinished(
                    run_id=task.split("/")[1],
                    task=task,
                    name=f"{namespace}/{pod.metadata.name}",
                    state=pod.status.phase,
                    end=partial(cluster.delete_pod, pod.metadata.name, namespace),
                )
