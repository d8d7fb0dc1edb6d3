"""Kubeconfigs that are none."""

from __future__ import annotations

import pytest
from kubernetes.config import kube_config

from airflow_conda_flow.compute.kubernetes.cluster import connect
from airflow_conda_flow.errors import SettingError

GOOD = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: c, user: u, namespace: mine}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
"""


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"\xff\xfe\x00",
        b"{a: [",
        b"- 1",
        b"hello",
        GOOD.replace("context: {cluster: c, user: u, namespace: mine}", "context: nonsense").encode(),
        GOOD.replace("[{name: u, user: {token: t}}]", "7").encode(),
    ],
    ids=["directory", "bytes", "no YAML", "a list", "a text", "context", "users"],
)
def test_a_kubeconfig_that_is_none(monkeypatch, tmp_path, content):
    """One line that names it."""
    path = tmp_path / "kubeconfig"
    path.mkdir() if content is None else path.write_bytes(content)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    with pytest.raises(
        SettingError, match=f"^The kubeconfig {path} cannot be read: .+ Set KUBECONFIG to "
    ) as found:
        connect()
    assert "\n" not in str(found.value)


def test_a_kubeconfig(monkeypatch, tmp_path):
    """The namespace is that of its context."""
    (tmp_path / "kubeconfig").write_text(GOOD)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "kubeconfig"))
    assert connect().namespace == "mine"
