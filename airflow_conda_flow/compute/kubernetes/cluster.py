"""Connection to a Kubernetes cluster: retries, and errors in our own words.

In ``compute/`` only this module, ``refusals`` and ``log`` import the ``kubernetes`` library, and only inside
functions, because it is slow to import.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from yaml import YAMLError

from airflow_conda_flow.compute.kubernetes.events import PodEvents
from airflow_conda_flow.compute.kubernetes.refusals import answers, one_line, refusals
from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.flow.requirements import missing_requirement

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# Size of the pool of connections. Each running pod holds one for its log, a watch holds one, and each request
# needs one more; with a smaller pool connections would be opened and thrown away all the time.
_CONNECTIONS = 256
_NOT_FOUND, _CONFLICT = 404, 409
# Statuses that are worth a retry. The client reports a failed TLS handshake as status 0.
_BUSY = frozenset({0, 429, 500, 502, 503, 504})
# The pauses between 5 tries are 6 seconds: a cluster that is not there is reported soon.
_TRIES = 5
_LONGEST_PAUSE = 10.0
# Seconds to connect, and to wait for an answer. The client has no default: a dead connection would block
# for ever.
_CONNECT_SECONDS = 10
_TIMEOUT = {"_request_timeout": (_CONNECT_SECONDS, 60)}
# Seconds beyond a watch's own time after which a connection without data is taken for a dead one.
_WATCH_SLACK = 15


class Cluster:
    """Connection to a cluster; safe to use from many threads.

    Args:
        api: a ``CoreV1Api`` of the ``kubernetes`` library.
        namespace: the default namespace.

    Attributes:
        api: the ``CoreV1Api``.
        namespace: namespace of pods whose manifest names none.
    """

    def __init__(self, api: Any, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    def create_pod(self, manifest: dict[str, Any]) -> None:
        """Create a pod.

        Raises:
            ComputeUnavailable: the cluster refuses the pod, or cannot be reached.
        """
        namespace = manifest["metadata"]["namespace"]

        def create() -> None:
            from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - heavy

            try:
                self.api.create_namespaced_pod(namespace, manifest, **_TIMEOUT)
            except ApiException as error:
                # A 409 after a retry means that our first request succeeded: pod names are unique.
                if error.status != _CONFLICT:
                    raise

        with refusals(f"The pod {manifest['metadata']['name']} cannot be made in the namespace {namespace}"):
            _patiently(create)

    def read_pod(self, name: str, namespace: str) -> Any:
        """Current state of a pod; None if it no longer exists.

        Raises:
            ComputeUnavailable: the cluster refuses the request, or cannot be reached.
        """
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - heavy

        with refusals(f"The pod {name} cannot be watched in the namespace {namespace}"):
            try:
                return _patiently(lambda: self.api.read_namespaced_pod(name, namespace, **_TIMEOUT))
            except ApiException as error:
                if error.status == _NOT_FOUND:
                    return None
                raise

    def find_pods(self, namespace: str, labels: Mapping[str, str | None]) -> list[Any]:
        """Pods that have all of these labels; None stands for any value.

        Raises:
            ComputeUnavailable: the cluster refuses the request, or cannot be reached.
        """
        selector = _selector(labels)
        with refusals(f"Pods cannot be looked for in the namespace {namespace}"):
            found = _patiently(
                lambda: self.api.list_namespaced_pod(namespace, label_selector=selector, **_TIMEOUT)
            )
        return list(found.items)

    def list_pods(self, namespace: str, labels: Mapping[str, str | None]) -> tuple[list[dict[str, Any]], str]:
        """Pods that have all of these labels, as Kubernetes' JSON, and the version at which they are so.

        JSON, because the client takes 2 to 4 ms of processor time to make a ``V1Pod``.

        Raises:
            ComputeForbidden: we have no right to list pods.
            ComputeUnavailable: the cluster refuses the request, or cannot be reached.
        """
        options = {"label_selector": _selector(labels), "_preload_content": False, **_TIMEOUT}
        task = f"Pods cannot be listed in the namespace {namespace}"
        with refusals(task):
            answer = _patiently(lambda: _read(self.api.list_namespaced_pod(namespace, **options)))
        with answers(task):
            found = json.loads(answer)
            return list(found["items"]), str(found["metadata"]["resourceVersion"])

    def watch_pods(
        self, namespace: str, labels: Mapping[str, str | None], version: str, seconds: int
    ) -> PodEvents:
        """Stream of the changes of the pods that have all of these labels; not retried.

        Args:
            namespace: the namespace.
            labels: labels; None stands for any value.
            version: version from which on changes are told.
            seconds: seconds after which the cluster ends the stream.

        Raises:
            ComputeForbidden: we have no right to watch pods.
            Outdated: the version is too old.
            ComputeUnavailable: the cluster refuses the request, or cannot be reached.
        """
        with refusals(f"Pods cannot be watched in the namespace {namespace}"):
            answer = self.api.list_namespaced_pod(
                namespace,
                label_selector=_selector(labels),
                watch=True,
                resource_version=version,
                timeout_seconds=seconds,
                # A quiet watch still gets new versions, so that it can be resumed.
                allow_watch_bookmarks=True,
                _preload_content=False,
                _request_timeout=(_CONNECT_SECONDS, seconds + _WATCH_SLACK),
            )
        return PodEvents(answer, f"The watch of pods in the namespace {namespace} broke")

    def as_pod(self, pod: Mapping[str, Any]) -> Any:
        """``V1Pod`` of a pod in Kubernetes' JSON."""
        # The client's only public way from JSON to its classes is to deserialize a response.
        return self.api.api_client.deserialize(SimpleNamespace(data=json.dumps(pod)), "V1Pod")

    def delete_pod(self, name: str, namespace: str, *, has_ended: bool = False) -> None:
        """Delete a pod; a pod that no longer exists is not an error.

        Args:
            name: the pod's name.
            namespace: the pod's namespace.
            has_ended: True if the pod's containers have ended, so that no grace period is needed.

        Raises:
            ComputeUnavailable: the cluster refuses the request, or cannot be reached.
        """
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - heavy

        options: dict[str, Any] = {"grace_period_seconds": 0} if has_ended else {}
        with refusals(f"The pod {name} cannot be deleted in the namespace {namespace}"):
            try:
                _patiently(lambda: self.api.delete_namespaced_pod(name, namespace, **options, **_TIMEOUT))
            except ApiException as error:
                if error.status != _NOT_FOUND:
                    raise

    def last_warning(self, name: str, namespace: str) -> str | None:
        """Newest warning among a pod's events, such as that a volume cannot be mounted; None without one."""
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - heavy
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - heavy

        try:
            events = self.api.list_namespaced_event(
                namespace, field_selector=f"involvedObject.name={name}", **_TIMEOUT
            )
        except (ApiException, HTTPError, OSError):
            return None  # a warning only improves a message, so a failure to read it is not reported
        # Events are listed by name. Those of one pod end with their time in hexadecimal, so the last is the
        # newest.
        messages = [event.message for event in events.items if event.type == "Warning" and event.message]
        return " ".join(messages[-1].split()) if messages else None


def connect(context: str = "") -> Cluster:
    """Cluster that the kubeconfig names, else the one that this process runs in.

    Args:
        context: a context of the kubeconfig; empty for its current context.

    Raises:
        SettingError: neither cluster exists, or the kubeconfig is wrong.
        MissingRequirement: the Kubernetes client is not installed.
    """
    try:
        from kubernetes import client, config  # noqa: PLC0415 - heavy
    except ImportError as error:
        raise missing_requirement(error, "Pods") from error

    configuration = client.Configuration()
    try:
        config.load_kube_config(context=context or None, client_configuration=configuration)
        _, active = config.list_kube_config_contexts()
        if context:
            contexts, _ = config.list_kube_config_contexts()
            active = next(each for each in contexts if each["name"] == context)
        namespace = active["context"].get("namespace") or "default"
    except config.ConfigException as error:
        if context or not _SERVICE_ACCOUNT.exists():
            raise SettingError(
                f"No Kubernetes cluster is configured: {one_line(error)} Set KUBECONFIG to a kubeconfig, "
                "and CONDA_FLOW_KUBERNETES_CONTEXT to one of its contexts."
            ) from error
        config.load_incluster_config(client_configuration=configuration)
        namespace = (_SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    except (OSError, ValueError, TypeError, AttributeError, LookupError, YAMLError) as error:
        # A directory, another user's file, no YAML, or YAML of another shape: the client checks none of it.
        raise SettingError(
            f"The kubeconfig {config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION} cannot be read: "
            f"{one_line(error)} Set KUBECONFIG to one that `kubectl config view` shows."
        ) from error
    configuration.connection_pool_maxsize = _CONNECTIONS
    # urllib3 would retry too, without a pause and under _patiently, which multiplies the tries.
    configuration.retries = False
    return Cluster(client.CoreV1Api(client.ApiClient(configuration)), namespace)


def _selector(labels: Mapping[str, str | None]) -> str:
    return ",".join(name if value is None else f"{name}={value}" for name, value in labels.items())


def _read(answer: Any) -> bytes:
    """Body of an answer that was not read yet."""
    try:
        return bytes(answer.data)
    finally:
        answer.release_conn()


def _patiently(ask: Callable[[], Any]) -> Any:
    """Answer of the cluster, after retries if it is busy or out of reach for a moment.

    ``ask`` may run more than once, also after an attempt that succeeded but whose answer was lost.
    """
    from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - heavy
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - heavy

    for tried in range(1, _TRIES):
        try:
            return ask()
        except ApiException as error:
            if error.status not in _BUSY:
                raise
        except HTTPError:
            pass
        time.sleep(min(0.2 * 2**tried, _LONGEST_PAUSE))
    return ask()
