"""Airflow's connection to a cluster, where it is wrong."""

from __future__ import annotations

import pytest

from airflow_conda_flow.airflow.operators.kubernetes import KubernetesStepOperator
from airflow_conda_flow.errors import SettingError

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: one
contexts: [{name: one, context: {cluster: one, user: one}}]
clusters: [{name: one, cluster: {server: "https://127.0.0.1:1", certificate-authority: /no/such/ca.crt}}]
users: [{name: one, user: {}}]
"""


@pytest.mark.parametrize(
    ("text", "problem"), [(KUBECONFIG, "File does not exist: /no/such/ca.crt"), ("", "Invalid kube-config")]
)
def test_a_cluster_that_cannot_be_meant(tmp_path, monkeypatch, text, problem):
    """One line that says where it was looked for; no retry can help."""
    (tmp_path / "config").write_text(text)
    monkeypatch.setattr(
        "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "config")
    )
    task = KubernetesStepOperator(task_id="a", flow="AFlow", step="a", kind="linear", decorators={})
    task.kubernetes_conn_id = None
    with pytest.raises(SettingError) as caught:
        task.cluster("default")
    message = str(caught.value)
    assert message.startswith("No Kubernetes cluster is configured: ")
    assert problem in message
    assert "kubernetes_conn_id" in message
    assert "\n" not in message
