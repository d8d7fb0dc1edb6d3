"""The platform's pod template, below what steps and settings give."""

from __future__ import annotations

import doctest

import pytest

from airflow_conda_flow.compute.kubernetes import template as template_module
from airflow_conda_flow.errors import SettingError

from .test_pod_spec import attributes_of, kubernetes_decorator, make_pod, value_at

TEMPLATE = """
apiVersion: v1
kind: Pod
metadata:
  name: not-this
  labels: {team: platform, "airflow-conda-flow/flow": not-this}
  annotations: {sidecar.istio.io/inject: "false"}
spec:
  priorityClassName: low
  restartPolicy: Always
  nodeSelector: {disk: ssd, zone: a}
  tolerations: [{key: spot, operator: Exists}]
  imagePullSecrets: [{name: registry}]
  terminationGracePeriodSeconds: 60
  initContainers: [{name: proxy, image: "proxy:1", restartPolicy: Always}]
  volumes: [{name: certificates, configMap: {name: certificates}}]
  containers:
    - name: base
      image: not-this
      command: [not-this]
      env:
        - {name: TEAM, value: platform}
        - {name: TOKEN, valueFrom: {secretKeyRef: {name: a, key: b}}}
        - {name: CONDA_FLOW_DATASTORE, valueFrom: {configMapKeyRef: {name: a, key: b}}}
      volumeMounts: [{name: certificates, mountPath: /etc/certificates}]
      resources: {limits: {memory: 8Gi}}
"""


@pytest.fixture
def path(tmp_path):
    """A file with a template."""
    file = tmp_path / "pod.yaml"
    file.write_text(TEMPLATE)
    return file


def test_fields_of_the_template_and_of_the_step(path):
    """The step's win; named things are merged, other lists put together."""
    own = attributes_of(
        kubernetes_decorator,
        image="own:1",
        node_selector={"zone": "b"},
        tolerations=[{"key": "gpu"}],
        labels={"team": "data"},
        image_pull_secrets=["own"],
    )
    pod = make_pod({"kubernetes": own}, kubernetes_pod_template=str(path))
    assert pod["metadata"]["name"] != "not-this"
    labels = pod["metadata"]["labels"]
    assert (labels["team"], labels["airflow-conda-flow/flow"]) == ("data", "AFlow")
    assert pod["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"
    spec = pod["spec"]
    assert (spec["priorityClassName"], spec["restartPolicy"]) == ("low", "Never")
    assert spec["terminationGracePeriodSeconds"] == 60
    assert spec["nodeSelector"] == {"disk": "ssd", "zone": "b"}
    assert spec["tolerations"] == [{"key": "spot", "operator": "Exists"}, {"key": "gpu"}]
    assert spec["imagePullSecrets"] == [{"name": "registry"}, {"name": "own"}]
    assert [each["name"] for each in spec["initContainers"]] == ["proxy", "runner"]
    assert "certificates" in [each["name"] for each in spec["volumes"]]
    (container,) = spec["containers"]
    assert container["image"] == "own:1"
    assert "not-this" not in container["command"]
    by_name = {each["name"]: each for each in container["env"]}
    assert by_name["TEAM"]["value"] == "platform"
    assert "valueFrom" in by_name["TOKEN"]
    assert set(by_name["CONDA_FLOW_DATASTORE"]) == {"name", "value"}
    assert "/etc/certificates" in [each["mountPath"] for each in container["volumeMounts"]]
    assert container["resources"]["limits"] == {"memory": "8Gi"}
    assert container["resources"]["requests"]["memory"] == "4096M"


def test_a_limit_of_the_step_wins(path):
    pod = make_pod(kubernetes_pod_template=str(path), kubernetes_limit_memory="true")
    assert value_at(pod, "spec.containers.0.resources.limits.memory") == "4096M"


@pytest.mark.parametrize(
    ("template", "setting", "own", "mounted"),
    [
        (None, "", None, False),
        ("true", "", None, True),
        ("true", "false", None, False),
        ("true", "false", True, True),
        ("true", "", False, False),
        (None, "true", None, True),
    ],
)
def test_the_token_for_the_cluster(tmp_path, template, setting, own, mounted):
    """No token unless somebody asks for one: the step, else the setting, else the template."""
    settings = {"kubernetes_automount_service_account_token": setting}
    if template is not None:
        file = tmp_path / "pod.yaml"
        file.write_text(f"kind: Pod\nspec: {{automountServiceAccountToken: {template}}}")
        settings["kubernetes_pod_template"] = str(file)
    attributes = {} if own is None else {"automount_service_account_token": own}
    pod = make_pod({"kubernetes": attributes_of(kubernetes_decorator, **attributes)}, **settings)
    assert pod["spec"]["automountServiceAccountToken"] is mounted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "a file that cannot be read"),
        ("a: [", "a file that is not YAML"),
        ("\x00", "a file that is not YAML"),
        ("- 1", "does not describe a pod"),
        ("kind: Job", "does not describe a pod"),
        ("kind: Pod\nspec: []", "whose spec is not a mapping"),
        ("kind: Pod\nspec: {containers: [{name: other}]}", "has a container 'other'"),
        ("kind: Pod\nspec: {containers: 3}", "whose containers are not a list"),
        ("kind: Pod\nspec: {containers: [3]}", "whose containers are not a list"),
        ("kind: Pod\nspec: {volumes: {a: b}}", "whose volumes are not a list"),
    ],
)
def test_a_wrong_template(tmp_path, text, message):
    """One line with the setting and the file."""
    file = tmp_path / "pod.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingError) as raised:
        make_pod(kubernetes_pod_template=str(file))
    assert message in str(raised.value)
    assert f"CONDA_FLOW_KUBERNETES_POD_TEMPLATE is '{file}'" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_examples():
    """The examples in docstrings give what they say."""
    assert doctest.testmod(template_module).failed == 0
