"""Manifest of the pod that runs one attempt of a step, as Kubernetes' JSON, computed without any request.

The command line and Airflow use the same manifest. It contains no credentials: the runner gets those for S3
from a service account, a Kubernetes secret or the node's role.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import secrets
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from airflow_conda_flow.compute.kubernetes.attributes import pod_attributes
from airflow_conda_flow.compute.kubernetes.template import over_template, pod_template
from airflow_conda_flow.compute.tmpfs import tempdir_variables, tmpfs_path
from airflow_conda_flow.environments.packed import CONTAINER_CACHE
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.decorators.amounts import megabytes
from airflow_conda_flow.flow.decorators.kubernetes import POD_SECURITY
from airflow_conda_flow.flow.decorators.timeout import timeout_seconds
from airflow_conda_flow.runner.container_command import RUNNER, RUNNER_HOME
from airflow_conda_flow.runner.task_request import TaskRequest
from airflow_conda_flow.settings.loading import Settings

CONTAINER = "base"
"""Name of the step's container; Airflow's KubernetesPodOperator calls it so too."""
LABEL = "airflow-conda-flow/"
"""Prefix of our labels and annotations."""
ATTEMPT = f"{LABEL}attempt"
"""Label with the number of the attempt."""
TASK = f"{LABEL}task-id"
"""Label with the id of the task."""

# Path of the same volume in the init container, whose image has its own runner at RUNNER_HOME.
_RUNNER_VOLUME = "/runner"
# Kubernetes' syntax of a label's value.
_LABEL_VALUE = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z")
# Below the platform's template. Credentials for a cloud come by other ways; this token is for the Kubernetes
# API, which few steps talk to.
_UNLESS_SET = {"spec": {"automountServiceAccountToken": False}}
# Seconds beyond @timeout, which covers what comes before the step: the image, the environment, the code.
_DEADLINE_SLACK = 900
# Characters of a name or of a label's value in front of the random part or the digest. Both stay below 63,
# the limit on host names and on label values.
_READABLE = 40

Manifest = dict[str, Any]


def pod_manifest(
    request: TaskRequest,
    decorators: Mapping[str, Any],
    settings: Settings,
    environ: Mapping[str, str],
) -> Manifest:
    """Manifest of the pod of an attempt; each call gives the pod a new name.

    Args:
        request: the attempt.
        decorators: the step's decorators: attributes by decorator name.
        settings: the settings in force.
        environ: the runner's environment variables, as ``runner_environ`` returns them.

    Raises:
        SettingError: a setting is not a valid value of its attribute.
    """
    attributes = pod_attributes(decorators, settings)
    runner_image = settings.texts["kubernetes_runner_image"].text
    image = attributes["image"] or runner_image
    volumes = _Volumes(attributes)
    init_containers = []
    container = _container(image, attributes)
    # Any image can be used: an init container copies the runner into a volume that the step's container
    # mounts.
    if image != runner_image:
        volumes.add("runner", {"emptyDir": {}}, RUNNER_HOME)
        init_containers.append(
            {
                **_container(runner_image, attributes),
                "name": "runner",
                "command": [RUNNER, "install", _RUNNER_VOLUME],
                "volumeMounts": [{"name": "runner", "mountPath": _RUNNER_VOLUME}],
            }
        )
    container.update(
        {
            "name": CONTAINER,
            "command": [RUNNER, "run", json.dumps(request.to_dict())],
            "env": _env(environ, volumes.environ, attributes["env"] or {}),
            "envFrom": [{"secretRef": {"name": name}} for name in attributes["secrets"] or ()],
            "volumeMounts": volumes.mounts,
            "ports": [{"containerPort": attributes["port"]}] if attributes["port"] else [],
        }
    )
    _add_devices(container["resources"], attributes)
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _filled(
            {
                "name": pod_name(request),
                "namespace": attributes["namespace"],
                "labels": {**(attributes["labels"] or {}), **pod_labels(request)},
                "annotations": {**(attributes["annotations"] or {}), f"{LABEL}task": _pathspec(request)},
            }
        ),
        "spec": _filled(
            {
                "restartPolicy": "Never",
                "initContainers": init_containers,
                "containers": [_filled(container)],
                "volumes": volumes.volumes,
                "nodeSelector": attributes["node_selector"],
                "tolerations": attributes["tolerations"],
                "affinity": attributes["affinity"],
                "topologySpreadConstraints": attributes["topology_spread_constraints"],
                "priorityClassName": attributes["priority_class"],
                "runtimeClassName": attributes["runtime_class"],
                "activeDeadlineSeconds": _deadline(decorators, settings),
                "serviceAccountName": attributes["service_account"],
                "automountServiceAccountToken": attributes["automount_service_account_token"],
                "imagePullSecrets": [{"name": name} for name in attributes["image_pull_secrets"] or ()],
                "securityContext": _security(attributes, on_pod=True),
                "hostNetwork": attributes["host_network"] or None,
                # On the node's network a pod uses the node's DNS unless this policy is set, and would not
                # find the names of the cluster's services.
                "dnsPolicy": "ClusterFirstWithHostNet" if attributes["host_network"] else None,
            }
        ),
    }
    return over_template(over_template(_UNLESS_SET, pod_template(settings, CONTAINER)), manifest)


def pod_name(request: TaskRequest) -> str:
    """New name for a pod of this task: readable, valid in Kubernetes, and unique through its random end."""
    # Uniqueness matters: Cluster.create_pod takes a conflict of names for its own earlier request.
    words = f"{request.flow}-{request.task.task_id}".lower()
    readable = re.sub(r"[^a-z0-9]+", "-", words)[:_READABLE].strip("-")
    return f"{readable}-{secrets.token_hex(5)}"


def pod_labels(request: TaskRequest) -> dict[str, str]:
    """Labels that find the pods of an attempt, a task, a step or a run."""
    names = {
        "flow": request.flow,
        "run-id": request.run_id,
        "step": request.step,
        "task-id": request.task.task_id,
        "attempt": str(request.attempt),
    }
    return {LABEL + name: label_value(text) for name, text in names.items()}


def run_labels(request: TaskRequest) -> dict[str, str]:
    """Labels that find the pods of the attempt's run."""
    labels = pod_labels(request)
    return {name: labels[name] for name in (f"{LABEL}flow", f"{LABEL}run-id")}


def label_value(text: str) -> str:
    """Text as the value of a label: unchanged if it is valid, else its beginning and a digest.

    >>> label_value("AFlow"), label_value("a b/c")
    ('AFlow', 'a-b-c-539138d5')
    """
    if _LABEL_VALUE.match(text):
        return text
    readable = re.sub(r"[^A-Za-z0-9]+", "-", text)[:_READABLE].strip("-")
    return f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".lstrip("-")


class _Volumes:
    """Volumes of a pod, their mounts in the step's container, and the variables that point to them."""

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        self.volumes: list[Manifest] = []
        self.mounts: list[Manifest] = []
        self.environ: dict[str, str] = {}
        # A security_context may make the root file system read-only, and the runner writes below /tmp.
        self.add("scratch", {"emptyDir": {}}, "/tmp")  # noqa: S108 - the container's
        self._add_memory(attributes)
        self._add_node_cache(attributes["node_cache"])
        for claim, path in (attributes["persistent_volume_claims"] or {}).items():
            name = f"claim-{hashlib.sha256(claim.encode()).hexdigest()[:12]}"
            self.add(name, {"persistentVolumeClaim": {"claimName": claim}}, path)

    def add(self, name: str, source: Manifest, path: str) -> None:
        self.volumes.append({"name": name, **source})
        self.mounts.append({"name": name, "mountPath": path})

    def _add_memory(self, attributes: Mapping[str, Any]) -> None:
        if attributes["shared_memory"] is not None:
            self.add("shared-memory", _in_memory(attributes["shared_memory"], "Mi"), "/dev/shm")  # noqa: S108
        path, size = tmpfs_path(attributes), attributes["tmpfs_size"]
        if path is None:
            return
        if size is None:
            # Half of the memory is Metaflow's default too. Memory counts in MB, sizes of tmpfs in MiB.
            half = (megabytes(attributes["memory"]) or 0) / 2
            self.add("tmpfs", _in_memory(int(half), "M"), path)
        else:
            self.add("tmpfs", _in_memory(size, "Mi"), path)
        self.environ.update(tempdir_variables(attributes))

    def _add_node_cache(self, cache: str | None) -> None:
        if cache is None:
            return
        if cache.startswith("/"):
            self.add("node-cache", {"hostPath": {"path": cache, "type": "Directory"}}, CONTAINER_CACHE)
        else:
            self.add("node-cache", {"persistentVolumeClaim": {"claimName": cache}}, CONTAINER_CACHE)
        self.environ["CONDA_FLOW_CACHE_DIR"] = CONTAINER_CACHE


def _container(image: str, attributes: Mapping[str, Any]) -> Manifest:
    """Fields shared by the containers of a pod."""
    wanted = {
        "cpu": str(attributes["cpu"]),
        "memory": _quantity(attributes["memory"], "M"),
        "ephemeral-storage": _quantity(attributes["disk"], "M"),
    }
    return _filled(
        {
            "image": image,
            "imagePullPolicy": attributes["image_pull_policy"],
            "securityContext": _security(attributes, on_pod=False),
            "resources": {
                "requests": wanted,
                "limits": _limits(wanted, attributes),
            },
        }
    )


def _limits(wanted: Mapping[str, str], attributes: Mapping[str, Any]) -> dict[str, str]:
    if attributes["qos"] == "Guaranteed":
        return dict(wanted)
    return {"memory": wanted["memory"]} if attributes["limit_memory"] else {}


def _deadline(decorators: Mapping[str, Any], settings: Settings) -> int:
    """Seconds after which the cluster ends the pod, whoever has lost sight of it.

    Raises:
        SettingError: the setting is not a number of seconds above 0.
    """
    limit = timeout_seconds(decorators)
    if limit is not None:
        return math.ceil(limit) + _DEADLINE_SLACK
    found = settings.texts["kubernetes_deadline"]
    if not found.text.isdecimal() or not int(found.text):
        raise SettingError(f"{found.source} is {found.text!r}; write seconds above 0, such as 432000.")
    return int(found.text)


def _add_devices(resources: Manifest, attributes: Mapping[str, Any]) -> None:
    if attributes["gpu"] and int(attributes["gpu"]):
        vendor = attributes["gpu_vendor"]
        name = vendor if "/" in vendor else f"{vendor}.com/gpu"
        # Kubernetes does not overcommit devices: a request and a limit must be equal.
        resources["limits"][name] = resources["requests"][name] = str(int(attributes["gpu"]))
    for each in ("limits", "requests"):
        resources[each].update(attributes["extended_resources"] or {})


def _env(*layers: Mapping[str, str]) -> list[Manifest]:
    merged: dict[str, str] = {}
    for layer in layers:
        merged.update(layer)
    return [{"name": name, "value": value} for name, value in merged.items()]


def _security(attributes: Mapping[str, Any], *, on_pod: bool) -> Manifest:
    given = attributes["security_context"] or {}
    return {name: value for name, value in given.items() if (name in POD_SECURITY) is on_pod}


def _in_memory(size: Any, unit: str) -> Manifest:
    return {"emptyDir": {"medium": "Memory", "sizeLimit": _quantity(size, unit)}}


def _quantity(amount: Any, unit: str) -> str:
    """Amount in Kubernetes' notation; a bare number is in ``unit``.

    >>> _quantity(4096, "M"), _quantity("512", "Mi"), _quantity("4Gi", "M")
    ('4096M', '512Mi', '4Gi')
    """
    # Kubernetes takes no suffix after an exponent, with which Python writes very small and very large floats.
    text = f"{Decimal(str(amount)):f}" if isinstance(amount, float) else str(amount)
    return text if text[-1].isalpha() else text + unit


def _filled(fields: Manifest) -> Manifest:
    """Fields without those that are None or an empty list or dict."""
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def _pathspec(request: TaskRequest) -> str:
    return f"{request.task.pathspec}/{request.attempt}"
