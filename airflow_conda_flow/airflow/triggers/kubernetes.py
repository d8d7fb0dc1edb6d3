"""Access of the triggerer to pods: one connection and one board for each namespace."""

from __future__ import annotations

import time
from typing import Any

from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

from airflow_conda_flow.compute.kubernetes.board import PodBoard
from airflow_conda_flow.compute.kubernetes.cluster import Cluster
from airflow_conda_flow.compute.kubernetes.watched_pod import WatchedPod
from airflow_conda_flow.datastore.datastore import Datastore
from airflow_conda_flow.runner.task_request import TaskRequest

_boards: dict[tuple[str | None, str | None, str], tuple[float, PodBoard]] = {}
"""Board, and the time of its connection, by Airflow connection, context and namespace."""
_CONNECTION_SECONDS = 600.0
"""Age at which a board's connection is made anew when a pod is to be watched: its token may expire."""


def watched_pod(state: dict[str, Any], datastore: Datastore, request: TaskRequest) -> WatchedPod:
    """Pod that the triggerer follows.

    Args:
        state: ``Pod.hand_over()``, with ``conn_id``, ``context`` and ``startup_timeout``.
        datastore: not used.
        request: not used.
    """
    del datastore, request
    key = (state["conn_id"], state["context"], state["namespace"])
    made, board = _boards.get(key, (0.0, None))
    if board is None or time.monotonic() - made > _CONNECTION_SECONDS:
        hook: Any = KubernetesHook(conn_id=state["conn_id"], cluster_context=state["context"])
        cluster = Cluster(hook.core_v1_client, state["namespace"])
        if board is None:
            board = PodBoard(cluster, state["namespace"])
        # The same board: pods that run for days would keep many of them, each with a watch, alive.
        board.cluster = cluster
        _boards[key] = time.monotonic(), board
    # Workers of earlier versions hand no digest over.
    told = state["position"], state.get("manifest")
    return WatchedPod(board, state["name"], state["startup_timeout"], *told)
