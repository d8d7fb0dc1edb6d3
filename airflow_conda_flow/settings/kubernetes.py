"""Settings of steps on Kubernetes.

A ``kubernetes_`` option is the default of the attribute of the same name of ``@kubernetes``, except for
``conn_id``, ``context``, ``runner_image`` and ``startup_timeout``, which are not attributes. Lists and dicts
are written as for ``--with``: ``a,b`` and ``a=b,c=d``, or as JSON.
"""

from __future__ import annotations

from airflow_conda_flow._version import __version__
from airflow_conda_flow.settings.option import Option

# Tagged with the version, so that a new release never starts the runner of an old one.
RUNNER_IMAGE = f"airflow-conda-flow-runner:{__version__}"

KUBERNETES_OPTIONS = (
    Option(
        "kubernetes_conn_id",
        "kubernetes_default",
        "The Airflow connection to the cluster. Without that connection: the service account of the pod that "
        "the worker runs in, or KUBECONFIG. Used under Airflow alone.",
    ),
    Option(
        "kubernetes_context",
        "",
        "The context of the kubeconfig. Empty: its current context.",
    ),
    Option(
        "kubernetes_runner_image",
        RUNNER_IMAGE,
        "The runner image. Steps with another image get the runner from it, by an init container.",
    ),
    # Less would fail steps that wait for a new node or a large image. More would delay the failure of a pod
    # that no node takes.
    Option(
        "kubernetes_startup_timeout",
        "600",
        "Seconds that a pod may take from being made to running, twice: until a node takes it, and on the "
        "node. A pod that can never start fails earlier.",
        kind="integer",
    ),
    Option(
        "kubernetes_image",
        "",
        "The image of steps. Empty: the runner image.",
        aliases=("METAFLOW_KUBERNETES_CONTAINER_IMAGE", "METAFLOW_DEFAULT_CONTAINER_IMAGE"),
    ),
    Option(
        "kubernetes_image_pull_policy",
        "",
        "Always, IfNotPresent or Never. Empty: as Kubernetes decides by the image's tag.",
        aliases=("METAFLOW_KUBERNETES_IMAGE_PULL_POLICY",),
    ),
    Option(
        "kubernetes_image_pull_secrets",
        "",
        "Names of Kubernetes secrets with the credentials of registries.",
        aliases=("METAFLOW_KUBERNETES_IMAGE_PULL_SECRETS",),
    ),
    Option(
        "kubernetes_namespace",
        "",
        "The namespace of pods. Empty: that of the connection, of the kubeconfig's context, or of the pod "
        "that this runs in.",
        aliases=("METAFLOW_KUBERNETES_NAMESPACE",),
    ),
    Option(
        "kubernetes_service_account",
        "",
        "The service account of pods; one way to give them credentials for S3. "
        "Empty: the namespace's default.",
        aliases=("METAFLOW_KUBERNETES_SERVICE_ACCOUNT",),
    ),
    Option(
        "kubernetes_secrets",
        "",
        "Names of Kubernetes secrets whose keys become environment variables; another way to give pods "
        "credentials for S3.",
        aliases=("METAFLOW_KUBERNETES_SECRETS",),
    ),
    Option(
        "kubernetes_cpu",
        "1",
        "Cores that a pod asks for.",
        aliases=("METAFLOW_KUBERNETES_CPU",),
    ),
    Option(
        "kubernetes_memory",
        "4096",
        "MB of memory that a pod asks for, or a quantity such as 4Gi.",
        aliases=("METAFLOW_KUBERNETES_MEMORY",),
    ),
    Option(
        "kubernetes_disk",
        "10240",
        "MB of ephemeral storage that a pod asks for, or a quantity.",
        aliases=("METAFLOW_KUBERNETES_DISK",),
    ),
    Option(
        "kubernetes_shared_memory",
        "",
        "The size of /dev/shm in MiB, or a quantity. Empty: what the container runtime gives.",
        aliases=("METAFLOW_KUBERNETES_SHARED_MEMORY",),
    ),
    Option(
        "kubernetes_gpu_vendor",
        "nvidia",
        "GPUs are asked for as <vendor>.com/gpu.",
        aliases=("METAFLOW_KUBERNETES_GPU_VENDOR",),
    ),
    Option(
        "kubernetes_qos",
        "Burstable",
        "Burstable: resources are asked for. Guaranteed: they are limits too.",
        aliases=("METAFLOW_KUBERNETES_QOS",),
    ),
    Option(
        "kubernetes_node_selector",
        "",
        "Labels of the nodes to run on.",
        aliases=("METAFLOW_KUBERNETES_NODE_SELECTOR",),
    ),
    Option(
        "kubernetes_tolerations",
        "",
        "Taints that pods bear, as JSON.",
        aliases=("METAFLOW_KUBERNETES_TOLERATIONS",),
    ),
    Option(
        "kubernetes_affinity",
        "",
        "Rules for the nodes of pods and for other pods, as JSON.",
    ),
    Option(
        "kubernetes_topology_spread_constraints",
        "",
        "How pods are spread over zones and nodes, as JSON.",
    ),
    Option(
        "kubernetes_priority_class",
        "",
        "The priority class of pods.",
    ),
    Option(
        "kubernetes_runtime_class",
        "",
        "The runtime class of pods.",
    ),
    Option(
        "kubernetes_automount_service_account_token",
        "",
        "Whether pods get a token for the Kubernetes API: true or false. If empty, the pod template says it; "
        "without one they get none.",
    ),
    Option(
        "kubernetes_limit_memory",
        "false",
        "Whether the memory that a pod asks for is its limit too.",
        choices=("true", "false"),
        kind="boolean",
    ),
    Option(
        "kubernetes_pod_template",
        "",
        "A YAML file of a pod, on the machine that makes pods. Pods get its fields, unless a step or a "
        "setting gives them.",
    ),
    Option(
        "kubernetes_deadline",
        "432000",
        "Seconds after which the cluster ends the pod of a step without @timeout, also if nothing is left "
        "that has started it.",
        kind="integer",
    ),
    Option(
        "kubernetes_labels",
        "",
        "Labels of pods, beside our own and those of a step.",
        aliases=("METAFLOW_KUBERNETES_LABELS",),
    ),
    Option(
        "kubernetes_annotations",
        "",
        "Annotations of pods, beside our own and those of a step.",
        aliases=("METAFLOW_KUBERNETES_ANNOTATIONS",),
    ),
    Option(
        "kubernetes_persistent_volume_claims",
        "",
        "Where volume claims are mounted, by their names.",
        aliases=("METAFLOW_KUBERNETES_PERSISTENT_VOLUME_CLAIMS",),
    ),
    Option(
        "kubernetes_security_context",
        "",
        "The security context of pods, as JSON.",
    ),
    Option(
        "kubernetes_host_network",
        "false",
        "Whether pods run in the network of their node.",
        choices=("true", "false"),
        kind="boolean",
    ),
    Option(
        "kubernetes_node_cache",
        "",
        "What pods on a node share their environments in: a directory of the node, or the name of a volume "
        "claim. Empty: each pod makes its own.",
    ),
    Option(
        "kubernetes_port",
        "",
        "A port that pods listen on.",
        aliases=("METAFLOW_KUBERNETES_PORT",),
        kind="integer",
    ),
)
