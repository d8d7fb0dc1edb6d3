"""Older versions of Airflow: a step as a pod under ``airflow dags test``, handed over to a trigger."""

from __future__ import annotations

import re

import pytest

from ...kubernetes.conftest import root_of
from ...kubernetes.test_dags import one_pod


@pytest.mark.timeout(400)
def test_a_pod_with_each_version(kubernetes, tmp_path, version):
    """Its lines are in the log once, its artifacts are stored, and it is gone afterwards."""
    environ = {"CONDA_FLOW_DEFERRABLE": "true", "CONDA_FLOW_DEFER_AFTER": "0"}
    machine = version.machine(
        tmp_path / "home", None, **kubernetes.environ(kubernetes.server.make_root()), **environ
    )
    one_pod(machine, 'print("hello", flush=True)\nself.value = 7')
    done = machine.airflow("dags", "test", "a_flow")
    assert done.returncode == 0, done.stdout
    assert len(re.findall(r"\bhello\b", done.stdout)) == 1, done.stdout
    assert "DEFERRED" in done.stdout
    manifests = kubernetes.manifests(root_of(machine))
    assert {key: each["status"] for key, each in manifests.items()} == {
        "start/0/0": "done",
        "end/0/0": "done",
    }
    assert "value" in manifests["end/0/0"]["artifacts"]
    kubernetes.wait_until_empty("AFlow")
