"""A Kubernetes cluster as the computes see it: which one, and what its refusals mean.

The ``kubernetes`` library is touched here and in ``pod_log``; it is imported by the first connection.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow_conda_flow.errors import ComputeUnavailable, SettingError

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_CONNECTIONS = 256  # one a pod for its log, and one for each question
_NOT_FOUND, _CONFLICT = 404, 409
_BUSY = frozenset({0, 429, 500, 502, 503, 504})
_TRIES = 5  # within six seconds: is there a cluster at all?
_TRIES_TO_WATCH = 10  # within a minute: a control plane may be replaced while pods run
_LONGEST_PAUSE = 10.0
_TIMEOUT = {"_request_timeout": (10, 60)}  # seconds to connect, and to answer


class Cluster:
    """A connection to a cluster; may be used from many threads.

    Attributes:
        namespace: where pods are made that name no namespace.
    """

    def __init__(self, api: Any, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    def create_pod(self, manifest: dict[str, Any]) -> None:
        """Make a pod.

        Raises:
            ComputeUnavailable: the cluster refuses it, or cannot be reached.
        """
        namespace = manifest["metadata"]["namespace"]

        def create() -> None:
            from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - heavy

            try:
                self.api.create_namespaced_pod(namespace, manifest, **_TIMEOUT)
            except ApiException as error:
                # Asked again after a lost answer; the name is used once.
                if error.status != _CONFLICT:
                    raise

        with _refusals(f"The pod {manifest['metadata']['name']} cannot be made in the namespace {namespace}"):
            _patiently(create)

    def read_pod(self, name: str, namespace: str) -> Any:
        """The pod as it is now, None if it is gone."""
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - heavy

        with _refusals(f"The pod {name} cannot be watched in the namespace {namespace}"):
            try:
                return _patiently(
                    lambda: self.api.read_namespaced_pod(name, namespace, **_TIMEOUT), _TRIES_TO_WATCH
                )
            except ApiException as error:
                if error.status == _NOT_FOUND:
                    return None
                raise

    def find_pods(self, namespace: str, labels: Mapping[str, str]) -> list[Any]:
        """The pods with these labels."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        with _refusals(f"Pods cannot be looked for in the namespace {namespace}"):
            found = _patiently(
                lambda: self.api.list_namespaced_pod(namespace, label_selector=selector, **_TIMEOUT)
            )
        return list(found.items)

    def delete_pod(self, name: str, namespace: str, *, has_ended: bool = False) -> None:
        """Tell the cluster to end a pod, if it is still there.

        Args:
            name: the pod's.
            namespace: the pod's.
            has_ended: whether its containers have ended: then it goes at once.
        """
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - heavy

        options: dict[str, Any] = {"grace_period_seconds": 0} if has_ended else {}
        with _refusals(f"The pod {name} cannot be deleted in the namespace {namespace}"):
            try:
                _patiently(lambda: self.api.delete_namespaced_pod(name, namespace, **options, **_TIMEOUT))
            except ApiException as error:
                if error.status != _NOT_FOUND:
                    raise

    def last_warning(self, name: str, namespace: str) -> str | None:
        """The newest warning among a pod's events, such as that a volume cannot be mounted."""
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - heavy

        try:
            events = self.api.list_namespaced_event(
                namespace, field_selector=f"involvedObject.name={name}", **_TIMEOUT
            )
        except (ApiException, OSError):
            return None  # it would have been a help, no more
        messages = [event.message for event in events.items if event.type == "Warning" and event.message]
        return " ".join(messages[-1].split()) if messages else None


def connect(context: str = "") -> Cluster:
    """The cluster that the kubeconfig names, or the one that this process runs in.

    Args:
        context: a context of the kubeconfig; its current one where empty.

    Raises:
        SettingError: there is neither, or the kubeconfig is wrong.
    """
    from kubernetes import client, config  # noqa: PLC0415 - heavy

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
                f"No Kubernetes cluster is configured: {_one_line(error)} Set KUBECONFIG to a kubeconfig, "
                "and CONDA_FLOW_KUBERNETES_CONTEXT to one of its contexts."
            ) from error
        config.load_incluster_config(client_configuration=configuration)
        namespace = (_SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    configuration.connection_pool_maxsize = _CONNECTIONS
    configuration.retries = False  # we ask again ourselves
    return Cluster(client.CoreV1Api(client.ApiClient(configuration)), namespace)


def _patiently(ask: Callable[[], Any], tries: int = _TRIES) -> Any:
    """What the cluster answers, asked again where it is busy or out of reach for a moment."""
    from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - heavy
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - heavy

    for tried in range(1, tries):
        try:
            return ask()
        except ApiException as error:
            if error.status not in _BUSY:
                raise
        except HTTPError:
            pass
        time.sleep(min(0.2 * 2**tried, _LONGEST_PAUSE))
    return ask()


@contextlib.contextmanager
def _refusals(what: str) -> Iterator[None]:
    """A refusal of the cluster becomes one message that begins with ``what``."""
    from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - heavy
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - heavy

    try:
        yield
    except ApiException as error:
        raise ComputeUnavailable(f"{what}: {_reason(error)}") from error
    except HTTPError as error:
        raise ComputeUnavailable(f"{what}: the cluster cannot be reached: {_one_line(error)}") from error


def _reason(error: Any) -> str:
    try:
        message = json.loads(error.body)["message"]
    except (KeyError, TypeError, ValueError):
        message = f"{error.status} {error.reason}"
    return _one_line(message)


def _one_line(message: object) -> str:
    text = " ".join(str(message).split())
    return text if text.endswith(".") else f"{text}."
