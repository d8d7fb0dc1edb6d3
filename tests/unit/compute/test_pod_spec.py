"""The pod of a step: every attribute and every setting reaches it, and no credential does."""

from __future__ import annotations

import dataclasses
import doctest
import json
from pathlib import Path

import kubernetes.client
import pytest

from airflow_conda_flow import kubernetes as kubernetes_decorator
from airflow_conda_flow import resources as resources_decorator
from airflow_conda_flow.compute.kubernetes import spec as pod_spec
from airflow_conda_flow.compute.kubernetes.spec import pod_manifest, pod_name
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.decorators.kubernetes import ATTRIBUTES
from airflow_conda_flow.flow.decorators.resources import RESOURCES
from airflow_conda_flow.runner.task_request import TaskRequest
from airflow_conda_flow.settings.kubernetes import KUBERNETES_OPTIONS, RUNNER_IMAGE
from airflow_conda_flow.settings.loading import load_settings
from airflow_conda_flow.settings.remote import REMOTE_OPTIONS

REQUEST = TaskRequest("AFlow", "manual__2026-11-24T02-00-00+00-00", "train", (3, 1), attempt=2)
ENVIRON = {"CONDA_FLOW_DATASTORE": "s3", "CONDA_FLOW_DATASTORE_ROOT": "s3://bucket/prefix"}


def attributes_of(decorator, **attributes):
    """The attributes as a flow definition has them."""

    @decorator(**attributes)
    def method():
        """Do nothing."""

    return dict(method.decorators[0].attributes)


def make_pod(decorators=None, request=REQUEST, **settings):
    """The pod of a step with these decorators where these settings are in force."""
    environ = {f"CONDA_FLOW_{name.upper()}": text for name, text in settings.items()}
    loaded = load_settings(environ=environ)
    return pod_manifest(request, decorators or {}, loaded, ENVIRON)


def value_at(pod, path):
    """The value under keys and indices."""
    for key in path.split("."):
        pod = pod[int(key)] if key.isdigit() else pod[key.replace("|", ".")]
    return pod


def volume(pod, path):
    """The volume that the step's container mounts there, without its name."""
    container = pod["spec"]["containers"][0]
    (name,) = (each["name"] for each in container["volumeMounts"] if each["mountPath"] == path)
    (found,) = (each for each in pod["spec"]["volumes"] if each["name"] == name)
    return {key: value for key, value in found.items() if key != "name"}


def variables(pod):
    """The environment variables of the step's container."""
    return {each["name"]: each["value"] for each in pod["spec"]["containers"][0]["env"]}


BASE = "spec.containers.0"
REQUESTS = f"{BASE}.resources.requests"
# Attribute, its value, where it is found in the pod (or a function of the pod), what is there;
# and the text of the setting that does the same.
TABLE = [
    ("image", "base:1", f"{BASE}.image", "base:1", "base:1"),
    ("cpu", 2, f"{REQUESTS}.cpu", "2", "2"),
    ("cpu", "500m", f"{REQUESTS}.cpu", "500m", "500m"),
    ("memory", 512, f"{REQUESTS}.memory", "512M", "512"),
    ("memory", "1Gi", f"{REQUESTS}.memory", "1Gi", "1Gi"),
    ("disk", 2048, f"{REQUESTS}.ephemeral-storage", "2048M", "2048"),
    ("namespace", "flows", "metadata.namespace", "flows", "flows"),
    ("service_account", "flows", "spec.serviceAccountName", "flows", "flows"),
    ("node_selector", {"disk": "ssd"}, "spec.nodeSelector", {"disk": "ssd"}, "disk=ssd"),
    (
        "tolerations",
        [{"key": "a", "toleration_seconds": 5}],
        "spec.tolerations",
        [{"key": "a", "tolerationSeconds": 5}],
        '[{"key": "a", "tolerationSeconds": 5}]',
    ),
    (
        "affinity",
        {"pod_affinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}},
        "spec.affinity",
        {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}},
        '{"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}}',
    ),
    (
        "topology_spread_constraints",
        [{"max_skew": 1, "topology_key": "zone", "when_unsatisfiable": "ScheduleAnyway"}],
        "spec.topologySpreadConstraints",
        [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
        '[{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}]',
    ),
    ("priority_class", "low", "spec.priorityClassName", "low", "low"),
    ("runtime_class", "nvidia", "spec.runtimeClassName", "nvidia", "nvidia"),
    ("automount_service_account_token", True, "spec.automountServiceAccountToken", True, "true"),
    ("limit_memory", True, f"{BASE}.resources.limits", {"memory": "4096M"}, "true"),
    ("labels", {"team": "data"}, "metadata.labels.team", "data", "team=data"),
    ("annotations", {"owner": "A & B"}, "metadata.annotations.owner", "A & B", '{"owner": "A & B"}'),
    ("image_pull_policy", "Never", f"{BASE}.imagePullPolicy", "Never", "never"),
    ("image_pull_secrets", ["a", "b"], "spec.imagePullSecrets", [{"name": "a"}, {"name": "b"}], "a,b"),
    (
        "secrets",
        ["a", "b"],
        f"{BASE}.envFrom",
        [{"secretRef": {"name": "a"}}, {"secretRef": {"name": "b"}}],
        "a,b",
    ),
    ("env", {"A": "x=y"}, lambda pod: variables(pod)["A"], "x=y", None),
    (
        "persistent_volume_claims",
        {"data": "/data"},
        lambda pod: volume(pod, "/data"),
        {"persistentVolumeClaim": {"claimName": "data"}},
        "data=/data",
    ),
    (
        "shared_memory",
        64,
        lambda pod: volume(pod, "/dev/shm"),
        {"emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        "64",
    ),
    (
        "use_tmpfs",
        True,
        lambda pod: volume(pod, "/metaflow_temp"),
        {"emptyDir": {"medium": "Memory", "sizeLimit": "2048M"}},
        None,
    ),
    (
        "tmpfs_size",
        128,
        lambda pod: volume(pod, "/metaflow_temp"),
        {"emptyDir": {"medium": "Memory", "sizeLimit": "128Mi"}},
        None,
    ),
    ("security_context", {"run_as_user": 5}, f"{BASE}.securityContext", {"runAsUser": 5}, '{"runAsUser": 5}'),
    ("security_context", {"fs_group": 5}, "spec.securityContext", {"fsGroup": 5}, '{"fsGroup": 5}'),
    ("host_network", True, "spec.hostNetwork", True, "True"),
    ("host_network", True, "spec.dnsPolicy", "ClusterFirstWithHostNet", "true"),
    (
        "node_cache",
        "/var/cache/flows",
        lambda pod: volume(pod, variables(pod)["CONDA_FLOW_CACHE_DIR"]),
        {"hostPath": {"path": "/var/cache/flows", "type": "Directory"}},
        "/var/cache/flows",
    ),
    (
        "node_cache",
        "a-claim",
        lambda pod: volume(pod, variables(pod)["CONDA_FLOW_CACHE_DIR"]),
        {"persistentVolumeClaim": {"claimName": "a-claim"}},
        "a-claim",
    ),
    ("qos", "Guaranteed", f"{BASE}.resources.limits.memory", "4096M", "guaranteed"),
    ("port", 8080, f"{BASE}.ports", [{"containerPort": 8080}], "8080"),
    (
        "extended_resources",
        {"example.com/fpga": 2},
        f"{BASE}.resources.limits",
        {"example.com/fpga": "2"},
        None,
    ),
]
TOGETHER = [  # attributes that mean something beside others
    ({"gpu": 2}, f"{BASE}.resources.limits", {"nvidia.com/gpu": "2"}),
    (
        {"gpu": 1, "extended_resources": "a.b/c=3"},
        f"{BASE}.resources.limits",
        {"nvidia.com/gpu": "1", "a.b/c": "3"},
    ),
    ({"extended_resources": {"a/b": 1}}, f"{REQUESTS}.a/b", "1"),
    ({"gpu": 1, "gpu_vendor": "amd"}, f"{REQUESTS}.amd|com/gpu", "1"),
    ({"gpu": 1, "gpu_vendor": "aws.amazon.com/neuron"}, f"{REQUESTS}.aws|amazon|com/neuron", "1"),
    ({"use_tmpfs": True}, lambda pod: variables(pod)["CONDA_FLOW_TEMPDIR"], "/metaflow_temp"),
    (
        {"use_tmpfs": True, "tmpfs_path": "/fast", "tmpfs_size": "1Gi"},
        lambda pod: volume(pod, "/fast"),
        {"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
    ),
    (
        {"use_tmpfs": True, "tmpfs_tempdir": False},
        lambda pod: "CONDA_FLOW_TEMPDIR" in variables(pod),
        False,
    ),
    ({"use_tmpfs": False, "tmpfs_size": 5}, lambda pod: len(pod["spec"]["volumes"]), 1),
    ({"memory": 1e-7}, f"{REQUESTS}.memory", "0.0000001M"),
    ({"disk": 1e22}, f"{REQUESTS}.ephemeral-storage", "10000000000000000000000M"),
    ({"memory": 100, "limit_memory": True, "gpu": 1}, f"{BASE}.resources.limits.memory", "100M"),
    ({"limit_memory": False}, lambda pod: pod["spec"]["containers"][0]["resources"]["limits"], {}),
    ({"service_account": "a"}, "spec.automountServiceAccountToken", False),
    ({"host_network": False}, lambda pod: "hostNetwork" in pod["spec"], False),
]


def look(pod, where):
    """The attribute's place in the pod."""
    return where(pod) if callable(where) else value_at(pod, where)


@pytest.mark.parametrize(("name", "value", "where", "expected", "text"), TABLE)
def test_an_attribute_reaches_the_pod(name, value, where, expected, text):
    """From `@kubernetes`, and as a default from its setting; the decorator wins."""
    own = {"kubernetes": attributes_of(kubernetes_decorator, **{name: value})}
    assert look(make_pod(own), where) == expected
    if text is not None:
        assert look(make_pod({}, **{f"kubernetes_{name}": text}), where) == expected


@pytest.mark.parametrize(("attributes", "where", "expected"), TOGETHER)
def test_attributes_together(attributes, where, expected):
    """Attributes that depend on one another."""
    pod = make_pod({"kubernetes": attributes_of(kubernetes_decorator, **attributes)})
    assert look(pod, where) == expected


def test_every_attribute_and_every_setting_is_tried():
    """The tables have them all."""
    tried = {name for name, *_ in TABLE} | {name for each, *_ in TOGETHER for name in each}
    assert tried == set(ATTRIBUTES) | set(RESOURCES)
    by_setting = {f"kubernetes_{name}" for name, *_, text in TABLE if text is not None}
    not_attributes = {
        f"kubernetes_{name}"
        for name in ("conn_id", "context", "deadline", "pod_template", "runner_image", "startup_timeout")
    }
    names = {option.name for option in KUBERNETES_OPTIONS}
    assert names == by_setting | not_attributes | {"kubernetes_gpu_vendor"}


def test_the_page_names_every_setting():
    """docs/kubernetes.md has each attribute, each option and each variable."""
    page = (Path(__file__).parents[3] / "docs" / "kubernetes.md").read_text()
    options = {option.name for option in KUBERNETES_OPTIONS + REMOTE_OPTIONS}
    names = {*ATTRIBUTES, *RESOURCES, *options, *(f"CONDA_FLOW_{name.upper()}" for name in options)}
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []


def test_a_decorator_wins_over_its_setting():
    """A step's own value counts; labels and annotations of both are there."""
    own = {"kubernetes": attributes_of(kubernetes_decorator, namespace="mine", labels={"a": "1"}, memory=1)}
    pod = make_pod(own, kubernetes_namespace="theirs", kubernetes_labels="a=2,b=3", kubernetes_memory="9000")
    assert pod["metadata"]["namespace"] == "mine"
    assert {name: pod["metadata"]["labels"][name] for name in "ab"} == {"a": "1", "b": "3"}
    assert value_at(pod, f"{REQUESTS}.memory") == "1M"


def test_resources_count_where_they_are_larger():
    """`@resources` and `@kubernetes` together: the larger amount; alone, `@resources` is enough."""
    resources = attributes_of(resources_decorator, cpu=4, memory=100, shared_memory=8)
    own = attributes_of(kubernetes_decorator, cpu=2, memory="1Gi")
    pod = make_pod({"resources": resources, "kubernetes": own})
    assert value_at(pod, REQUESTS) == {"cpu": "4", "memory": "1Gi", "ephemeral-storage": "10240M"}
    pod = make_pod({"resources": resources, "kubernetes": attributes_of(kubernetes_decorator)})
    assert value_at(pod, REQUESTS) == {"cpu": "4", "memory": "100M", "ephemeral-storage": "10240M"}
    assert volume(pod, "/dev/shm")["emptyDir"]["sizeLimit"] == "8Mi"


def test_the_container_runs_the_attempt():
    """The runner image runs the request; its temporary directory is a volume of its own."""
    pod = make_pod()
    (container,) = pod["spec"]["containers"]
    assert container["image"] == RUNNER_IMAGE
    *command, request = container["command"]
    assert command == ["/opt/airflow-conda-flow/bin/runner", "run"]
    assert TaskRequest.from_dict(json.loads(request)) == REQUEST
    assert variables(pod) == ENVIRON
    assert volume(pod, "/tmp") == {"emptyDir": {}}
    assert pod["spec"]["restartPolicy"] == "Never"
    assert "initContainers" not in pod["spec"]


def test_another_image_gets_the_runner_from_an_init_container():
    """It is copied into a volume that stands where the runner is found."""
    attributes = {"image": "mine:1", "image_pull_policy": "Never", "env": {"A": "1"}, "secrets": ["s"]}
    pod = make_pod({"kubernetes": attributes_of(kubernetes_decorator, **attributes)})
    (init,) = pod["spec"]["initContainers"]
    assert init["image"] == RUNNER_IMAGE
    assert init["command"] == ["/opt/airflow-conda-flow/bin/runner", "install", "/runner"]
    assert init["imagePullPolicy"] == "Never"
    assert "env" not in init
    assert "envFrom" not in init
    (mount,) = init["volumeMounts"]
    assert mount["mountPath"] == "/runner"
    assert volume(pod, "/opt/airflow-conda-flow") == {"emptyDir": {}}
    assert {each["name"] for each in pod["spec"]["volumes"]} >= {mount["name"]}


def test_a_step_whose_image_is_the_runner_image_needs_no_init_container():
    """Also where it is named."""
    attributes = attributes_of(kubernetes_decorator, image="runner:2")
    pod = make_pod({"kubernetes": attributes}, kubernetes_runner_image="runner:2")
    assert "initContainers" not in pod["spec"]


def test_labels_find_an_attempt():
    """Labels hold what fits; the annotation holds all of it."""
    metadata = make_pod()["metadata"]
    assert metadata["labels"] == {
        "airflow-conda-flow/flow": "AFlow",
        "airflow-conda-flow/run-id": "manual-2026-11-24T02-00-00-00-00-1a64c416",
        "airflow-conda-flow/step": "train",
        "airflow-conda-flow/task-id": "train-3-1",
        "airflow-conda-flow/attempt": "2",
    }
    assert metadata["annotations"] == {"airflow-conda-flow/task": f"AFlow/{REQUEST.run_id}/train/train-3-1/2"}


@pytest.mark.parametrize("name", ["A", "_a_", "ALongFlow" * 20, "Ünïcode", "1"])
def test_names_of_pods(name):
    """Allowed whatever the flow is called, and never the same twice."""
    request = dataclasses.replace(REQUEST, flow=name, step="_x")
    names = {pod_name(request) for _ in range(100)}
    assert len(names) == 100
    for each in names:
        assert len(each) <= 63
        assert set(each) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert each[0].isalnum()
        assert each[-1].isalnum()


def test_no_credential_reaches_the_pod(monkeypatch):
    """Whatever this process has, the pod holds names of secrets at most."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "VERYSECRETKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "VERYSECRETVALUE")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "VERYSECRETTOKEN")
    text = json.dumps(make_pod({"kubernetes": attributes_of(kubernetes_decorator, secrets=["a"])}))
    assert "VERYSECRET" not in text


@pytest.mark.parametrize(
    ("setting", "text", "message"),
    [
        ("kubernetes_memory", "4 GB", "MEMORY is '4 GB'; it takes MB above 0, or a quantity"),
        ("kubernetes_tolerations", "[{", "TOLERATIONS is '[{'; it takes a list of dicts"),
        ("kubernetes_labels", "team", "LABELS is 'team'; it takes labels as Kubernetes allows them"),
        ("kubernetes_port", "http", "PORT is 'http'; it takes the number of a port"),
        ("kubernetes_host_network", "maybe", "HOST_NETWORK is 'maybe'; it takes one of: true, false."),
        ("kubernetes_namespace", "My Flows", "NAMESPACE is 'My Flows'; it takes the name of a namespace"),
    ],
)
def test_a_wrong_setting_is_named(setting, text, message):
    """The message says where it stands and what it takes."""
    with pytest.raises(SettingError) as raised:
        make_pod({}, **{setting: text})
    assert f"The environment variable CONDA_FLOW_KUBERNETES_{message}" in str(raised.value)


@pytest.mark.parametrize(
    ("decorators", "settings", "seconds"),
    [
        ({}, {}, 432000),
        ({}, {"kubernetes_deadline": "3600"}, 3600),
        ({"timeout": {"seconds": 1.5, "minutes": 1, "hours": 0}}, {"kubernetes_deadline": "10"}, 62 + 900),
    ],
)
def test_the_cluster_ends_a_pod_that_nobody_looks_after(decorators, settings, seconds):
    """After ``@timeout`` and what comes before the step, else after the setting."""
    assert value_at(make_pod(decorators, **settings), "spec.activeDeadlineSeconds") == seconds


@pytest.mark.parametrize("text", ["0", "-5", "1.5", "soon", "²"])
def test_a_wrong_deadline(text):
    """Is named with where it comes from."""
    with pytest.raises(SettingError, match=r"CONDA_FLOW_KUBERNETES_DEADLINE is .*; write seconds above 0"):
        make_pod({}, kubernetes_deadline=text)


def test_the_client_knows_every_field():
    """Kubernetes' own models read our pods, and write the same."""
    every = {name: value for name, value, *_ in TABLE}
    every.update(gpu=1, gpu_vendor="amd", tmpfs_tempdir=True, tmpfs_path="/fast")
    pod = make_pod({"kubernetes": attributes_of(kubernetes_decorator, **every)})
    api = kubernetes.client.ApiClient()

    model = api._ApiClient__deserialize(pod, "V1Pod")
    assert api.sanitize_for_serialization(model) == pod


def test_examples():
    """The examples in docstrings give what they say."""
    results = doctest.testmod(pod_spec)
    assert results.attempted
    assert not results.failed
