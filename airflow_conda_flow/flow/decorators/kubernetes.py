"""``@kubernetes``: runs a step as a pod and describes that pod.

Names and units are Metaflow's. An attribute that is not given is None; a setting may supply its value.
"""

from airflow_conda_flow.flow.decorators import attribute_values as values
from airflow_conda_flow.flow.decorators.amounts import megabytes
from airflow_conda_flow.flow.decorators.base import StepDecorator, decorator_function
from airflow_conda_flow.flow.decorators.resources import NO_EXECUTABLE, RESOURCES, check_resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from airflow_conda_flow.flow.decorators.base import Method


CONTAINER_SECURITY = (
    "allowPrivilegeEscalation",
    "appArmorProfile",
    "capabilities",
    "privileged",
    "procMount",
    "readOnlyRootFilesystem",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "seLinuxOptions",
    "seccompProfile",
)
POD_SECURITY = ("fsGroup", "fsGroupChangePolicy", "supplementalGroups", "sysctls")
"""Keys of ``security_context`` that belong to the pod in Kubernetes, not to its container."""

ATTRIBUTES: "dict[str, tuple[values.Normalise, str]]" = {
    "image": (values.text, 'the name of an image, such as image="python:3.11-slim"'),
    "gpu_vendor": (values.text, 'the vendor in the name of the devices, such as gpu_vendor="nvidia"'),
    "namespace": (values.object_name, 'the name of a namespace, such as namespace="flows"'),
    "service_account": (values.object_name, 'its name, such as service_account="flows"'),
    "node_selector": (values.labels, 'labels of nodes, such as node_selector={"disk": "ssd"}'),
    "tolerations": (
        values.list_of(values.fields("effect", "key", "operator", "tolerationSeconds", "value")),
        'a list of dicts, such as tolerations=[{"key": "gpu", "operator": "Exists"}]',
    ),
    "affinity": (
        values.fields("nodeAffinity", "podAffinity", "podAntiAffinity"),
        'a dict as in Kubernetes, such as affinity={"pod_anti_affinity": {...}}',
    ),
    "topology_spread_constraints": (
        values.list_of(
            values.fields(
                "labelSelector",
                "matchLabelKeys",
                "maxSkew",
                "minDomains",
                "nodeAffinityPolicy",
                "nodeTaintsPolicy",
                "topologyKey",
                "whenUnsatisfiable",
            )
        ),
        'a list of dicts as in Kubernetes, such as topology_spread_constraints=[{"max_skew": 1, ...}]',
    ),
    "priority_class": (values.object_name, 'its name, such as priority_class="batch-low"'),
    "runtime_class": (values.object_name, 'its name, such as runtime_class="nvidia"'),
    "automount_service_account_token": (values.flag, "True or False"),
    "limit_memory": (values.flag, "True or False"),
    "labels": (values.labels, 'labels as Kubernetes allows them, such as labels={"team": "data"}'),
    "annotations": (values.annotations, 'a dict of texts, such as annotations={"owner": "Ada"}'),
    "image_pull_policy": (
        values.one_of("Always", "IfNotPresent", "Never"),
        '"Always", "IfNotPresent" or "Never"',
    ),
    "image_pull_secrets": (values.object_names, 'names of secrets, such as image_pull_secrets=["registry"]'),
    "secrets": (values.object_names, 'names of Kubernetes secrets, such as secrets=["s3-credentials"]'),
    "env": (values.environment_variables, 'a dict of texts, such as env={"OMP_NUM_THREADS": "2"}'),
    "persistent_volume_claims": (
        values.mounts,
        'claims and absolute paths, such as persistent_volume_claims={"data": "/data"}',
    ),
    "use_tmpfs": (values.flag, "True or False"),
    "tmpfs_tempdir": (values.flag, "True or False"),
    "tmpfs_size": (values.amount(megabytes), "MiB above 0, or a quantity, such as tmpfs_size=512"),
    "tmpfs_path": (values.absolute_path, 'an absolute path, such as tmpfs_path="/metaflow_temp"'),
    "security_context": (
        values.fields(*(CONTAINER_SECURITY + POD_SECURITY)),
        'a dict that Kubernetes accepts, such as security_context={"run_as_user": 1000}',
    ),
    "host_network": (values.flag, "True or False"),
    "node_cache": (
        values.path_or_name,
        'a directory of the nodes, such as node_cache="/var/cache/conda-flow", or the name of a claim',
    ),
    "qos": (values.one_of("Burstable", "Guaranteed"), '"Burstable" or "Guaranteed"'),
    "port": (values.port, "the number of a port, such as port=8080"),
    "extended_resources": (
        values.device_counts,
        'names and whole numbers, such as extended_resources={"example.com/fpga": 1}',
    ),
}
"""Normaliser and description of valid values for each attribute other than the resources."""

# Refused in env, because everybody who may read pods could read them.
_CREDENTIALS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_OURS = "CONDA_FLOW_"  # prefix of the runner's environment variables


class KubernetesDecorator(StepDecorator):
    """Runs a step as a pod on Kubernetes.

    Args:
        cpu: requested cores.
        memory: requested MB, or a quantity such as ``4Gi``.
        disk: requested MB of ephemeral storage, or a quantity.
        gpu: number of devices.
        gpu_vendor: ``nvidia`` or ``amd``; the pod requests the resource ``<vendor>.com/gpu``.
        shared_memory: size of ``/dev/shm`` in MiB, or a quantity.
        qos: ``Burstable`` sets the resources as requests; ``Guaranteed`` sets them as limits too.
        image: the container's image; if it lacks the runner, the pod gets the runner from the runner image.
        image_pull_policy: ``Always``, ``IfNotPresent`` or ``Never``.
        image_pull_secrets: names of Kubernetes secrets with credentials for image registries.
        namespace: namespace of the pod.
        service_account: service account of the pod.
        secrets: names of Kubernetes secrets whose keys become environment variables.
        env: environment variables; everybody who may read the pod can read them.
        node_selector: labels of the nodes to run on.
        tolerations: node taints that the pod tolerates.
        affinity: rules for nodes and for other pods, as in Kubernetes.
        topology_spread_constraints: how pods are spread over zones and nodes, as in Kubernetes.
        priority_class: priority class of the pod.
        runtime_class: runtime class of the pod.
        automount_service_account_token: True if the step talks to the Kubernetes API itself; by default its
            pod has no token for that.
        limit_memory: True if the requested memory is a limit too.
        labels: additional labels of the pod.
        annotations: additional annotations of the pod.
        persistent_volume_claims: mount paths by the name of the claim.
        use_tmpfs: True to mount a directory in memory.
        tmpfs_size: size of that directory in MiB, or a quantity.
        tmpfs_path: mount path of that directory; ``/metaflow_temp`` by default.
        tmpfs_tempdir: True if ``current.tempdir`` is in that directory.
        security_context: ``run_as_user``, ``capabilities`` and any other key that Kubernetes has there.
        host_network: True to run in the network of the node.
        node_cache: cache in which the pods on a node share environments: a directory of the node, or a
            claim.
        port: port that the container listens on.
        extended_resources: numbers of other devices, by the resource names that the nodes advertise.
        hostname_resolution_timeout: accepted for compatibility and ignored: nodes of a ``num_parallel``
            step wait an hour for the main node.
        compute_pool: accepted for compatibility and ignored: only Outerbounds has these groups of nodes.
    """

    name = "kubernetes"
    elsewhere = NO_EXECUTABLE
    defaults = dict(
        RESOURCES, hostname_resolution_timeout=None, compute_pool=None, **dict.fromkeys(ATTRIBUTES)
    )

    def check(self) -> None:
        """Raise unless Kubernetes accepts every attribute."""
        check_resources(self)
        values.normalise_attributes(self, ATTRIBUTES)
        self._check_variables(self.attributes["env"] or {})

    def _check_variables(self, env: "dict[str, str]") -> None:
        for name in env:
            if name.startswith(_OURS):
                self.fail("@kubernetes: env has %s; variables of that kind are the runner's own." % name)
            if name in _CREDENTIALS:
                self.fail(
                    "@kubernetes: env has %s, which everybody who sees the pod could read. Put it into a "
                    'Kubernetes secret and name that: secrets=["my-secret"].' % name
                )


if TYPE_CHECKING:

    def kubernetes(
        __method: "Method | None" = None,
        *,
        cpu: "values.Amount" = None,
        memory: "values.Amount" = None,
        disk: "values.Amount" = None,
        gpu: "values.Count" = None,
        shared_memory: "values.Amount" = None,
        hostname_resolution_timeout: "values.Number" = None,
        compute_pool: "values.Text" = None,
        image: "values.Text" = None,
        gpu_vendor: "values.Text" = None,
        namespace: "values.Text" = None,
        service_account: "values.Text" = None,
        node_selector: "values.TextsByName" = None,
        tolerations: "Sequence[Mapping[str, Any]] | values.Fields" = None,
        affinity: "values.Fields" = None,
        topology_spread_constraints: "Sequence[Mapping[str, Any]] | values.Fields" = None,
        priority_class: "values.Text" = None,
        runtime_class: "values.Text" = None,
        automount_service_account_token: "values.Flag" = None,
        limit_memory: "values.Flag" = None,
        labels: "values.TextsByName" = None,
        annotations: "values.TextsByName" = None,
        image_pull_policy: "values.Text" = None,
        image_pull_secrets: "values.Texts" = None,
        secrets: "values.Texts" = None,
        env: "values.TextsByName" = None,
        persistent_volume_claims: "values.TextsByName" = None,
        use_tmpfs: "values.Flag" = None,
        tmpfs_tempdir: "values.Flag" = None,
        tmpfs_size: "values.Amount" = None,
        tmpfs_path: "values.Text" = None,
        security_context: "values.Fields" = None,
        host_network: "values.Flag" = None,
        node_cache: "values.Text" = None,
        qos: "values.Text" = None,
        port: "values.Whole" = None,
        extended_resources: "values.TextsByName" = None,
    ) -> "Method":
        """Run a step as a pod on Kubernetes; see ``KubernetesDecorator``."""

else:
    kubernetes = decorator_function(KubernetesDecorator)
