"""A server that answers as Kubernetes does, and the real client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_conda_flow.compute.kubernetes.cluster import Cluster

from ...parts.kubernetes_api import NAMESPACE, KubernetesApi, run_kubernetes_api


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    """A cluster without pods."""
    with run_kubernetes_api() as server:
        yield server


@pytest.fixture
def cluster(api) -> Cluster:
    """Our connection to it."""
    return Cluster(api.client(), NAMESPACE)
