"""A stand-in for the API server of Kubernetes: pods in memory, watches, counted requests, and faults.

It is for what no real cluster can be made to do: forget versions, break connections, fall silent, and hold a
thousand pods.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

NAMESPACE = "ns"
LABELS = {"airflow-conda-flow/flow": "AFlow", "airflow-conda-flow/run-id": "1"}
SPEC = {"containers": [{"name": "base", "image": "i", "resources": {}}], "nodeName": "node-1"}
_FILLER = {"example.com/filler": "x" * 4000}  # makes a pod as large as real ones are


class KubernetesApi:
    """The server.

    Attributes:
        pods: the pods by name, as Kubernetes' JSON.
        requests: number of requests by what they ask: list, watch, get, delete, log, events.
        forbidden: what is answered with 403.
        broken: what is answered with 500.
        log: lines of every pod's log, each with its time.
        last_words: what every container prints once its pod is deleted; the pod and its log are gone at once.
        on_delete: called with the name of a pod that is to be deleted; it is gone at once unless this is set.
        is_silent: True if watches are accepted and then say nothing, not even at their end.
        watch_seconds: seconds after which a watch ends; None for what the client asks.
    """

    def __init__(self) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.requests: Counter[str] = Counter()
        self.forbidden: set[str] = set()
        self.broken: set[str] = set()
        self.log = b"2026-11-24T02:00:00.1Z one\n2026-11-24T02:00:00.2Z two\n"
        self.last_words = b""
        self.on_delete: Callable[[str], object] = self.delete
        self.is_silent = False
        self.watch_seconds: float | None = None
        self.watches: set[socket.socket] = set()
        self.changes = threading.Condition()
        self.version = 1000
        self.history: list[tuple[int, str, dict[str, Any]]] = []
        self.oldest = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Start to answer."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """End the server and its connections."""
        self._server.shutdown()
        self.break_watches()
        self._server.server_close()

    def client(self) -> Any:
        """A ``CoreV1Api`` of the real client."""
        from kubernetes import client

        configuration = client.Configuration(host=self.url)
        configuration.retries = False
        configuration.connection_pool_maxsize = 256
        return client.CoreV1Api(client.ApiClient(configuration))

    def put(self, name: str, status: dict[str, Any], labels: dict[str, str] = LABELS) -> None:
        """Make a pod, or change its status."""
        with self.changes:
            kind = "MODIFIED" if name in self.pods else "ADDED"
            metadata = {"name": name, "namespace": NAMESPACE, "labels": labels, "annotations": _FILLER}
            self._note(kind, {"metadata": metadata, "spec": SPEC, "status": status})

    def run(self, *names: str) -> None:
        """Let the containers of these pods run."""
        for name in names:
            self.put(name, running())

    def finish(self, *names: str, code: int = 0) -> None:
        """Let the containers of these pods end."""
        for name in names:
            self.put(name, finished(code))

    def tell_to_end(self, name: str) -> None:
        """Let somebody delete a pod whose container takes a while to end."""
        with self.changes:
            pod = self.pods[name]
            end = f"{datetime.now(timezone.utc) + timedelta(seconds=30):%Y-%m-%dT%H:%M:%SZ}"
            metadata = {**pod["metadata"], "deletionTimestamp": end}
            self._note("MODIFIED", {**pod, "metadata": metadata})

    def delete(self, name: str) -> None:
        """Let a pod be gone."""
        with self.changes:
            if name in self.pods:
                self._note("DELETED", self.pods[name])

    def forget(self) -> None:
        """Forget what happened until now: watches from an older version get 410."""
        with self.changes:
            self.version += 1
            self.oldest = self.version
            self.history.clear()

    def break_watches(self) -> None:
        """Cut the connection of every watch."""
        with self.changes:
            for each in self.watches:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self.changes.notify_all()

    def wait_for(self, what: str, number: int = 1, seconds: float = 10) -> None:
        """Return when there were so many requests of a kind."""
        wait_until(lambda: self.requests[what] >= number, seconds)

    def _note(self, kind: str, pod: dict[str, Any]) -> None:
        self.version += 1
        metadata = {**pod["metadata"], "resourceVersion": str(self.version)}
        pod = {**pod, "metadata": metadata}
        if kind == "DELETED":
            del self.pods[metadata["name"]]
        else:
            self.pods[metadata["name"]] = pod
        self.history.append((self.version, kind, pod))
        self.changes.notify_all()


@contextlib.contextmanager
def run_kubernetes_api() -> Iterator[KubernetesApi]:
    """A server while the block runs."""
    api = KubernetesApi()
    api.start()
    try:
        yield api
    finally:
        api.stop()


def running() -> dict[str, Any]:
    """Status of a pod whose container runs."""
    return {"phase": "Running", "containerStatuses": [_container({"running": {}})]}


def finished(code: int) -> dict[str, Any]:
    """Status of a pod whose container has ended."""
    state = {"terminated": {"exitCode": code, "reason": "Completed" if not code else "Error"}}
    return {"phase": "Failed" if code else "Succeeded", "containerStatuses": [_container(state)]}


def _container(state: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "base",
        "image": "i",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": state,
    }


def wait_until(is_so: Any, seconds: float = 10) -> None:
    """Return when a condition holds; it must within these seconds."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to be so"
        time.sleep(0.01)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    api: KubernetesApi

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: connections are cut on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """Answer whatever reads."""
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        rest = url.path.removeprefix(f"/api/v1/namespaces/{NAMESPACE}/").split("/")
        if rest == ["events"]:
            self._answer("events", lambda _: {"items": []})
        elif rest == ["pods"] and "watch" in query:
            self._answer("watch", lambda api: self._watch(api, query))
        elif rest == ["pods"]:
            self._answer("list", lambda api: self._list(api, query))
        elif len(rest) == 3:
            self._answer("log", lambda api: self._log(api, rest[1], query.get("follow") == "True"))
        else:
            self._answer("get", lambda api: self._get(api, rest[1]))

    def do_DELETE(self) -> None:
        """Delete a pod, or do what the test wants."""
        name = self.path.partition("?")[0].rpartition("/")[2]
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)

        def delete(api: KubernetesApi) -> Any:
            api.on_delete(name)
            return {"kind": "Status", "status": "Success"}

        self._answer("delete", delete)

    def _answer(self, what: str, make: Any) -> None:
        api = self.server.api
        with api.changes:
            api.requests[what] += 1
        if what in api.forbidden:
            self._refuse(403, f'pods is forbidden: User "u" cannot {what} resource "pods"')
        elif what in api.broken:
            self._refuse(500, "something is wrong inside")
        elif (document := make(api)) is not None:
            self._send(200, json.dumps(document).encode())

    def _refuse(self, code: int, message: str) -> None:
        document = {"kind": "Status", "status": "Failure", "message": message, "code": code}
        self._send(code, json.dumps(document).encode())

    def _send(self, code: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _log(self, api: KubernetesApi, name: str, is_followed: bool) -> None:
        if not (is_followed and api.last_words):
            self._send(200, api.log, "text/plain")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with api.changes:
            self._chunk(api.log)
            api.changes.wait_for(lambda: name not in api.pods, 30)
        self._chunk(api.last_words)
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _get(self, api: KubernetesApi, name: str) -> Any:
        if name in api.pods:
            return api.pods[name]
        return self._refuse(404, f'pods "{name}" not found')

    def _list(self, api: KubernetesApi, query: dict[str, str]) -> Any:
        with api.changes:
            pods = [pod for pod in api.pods.values() if _matches(pod, query)]
            return {"kind": "PodList", "metadata": {"resourceVersion": str(api.version)}, "items": pods}

    def _watch(self, api: KubernetesApi, query: dict[str, str]) -> None:
        seen = int(query["resourceVersion"])
        if seen < api.oldest:
            self._refuse(410, "too old resource version")
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        end = time.monotonic() + (api.watch_seconds or float(query["timeoutSeconds"]))
        self.close_connection = True
        with api.changes:
            api.watches.add(self.connection)
        try:
            for event in self._events(api, seen, end):
                if event["type"] == "BOOKMARK" or _matches(event["object"], query):
                    self._chunk(json.dumps(event).encode() + b"\n")
            self._chunk(b"")
        finally:
            with api.changes:
                api.watches.discard(self.connection)

    def _events(self, api: KubernetesApi, seen: int, end: float) -> Iterator[dict[str, Any]]:
        while True:
            with api.changes:
                new = [each for each in api.history if each[0] > seen]
                if not new or api.is_silent:
                    left = end - time.monotonic()
                    if not api.is_silent and (left <= 0 or not api.changes.wait(left)):
                        # As the real one does before it ends a watch.
                        yield {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(seen)}}}
                        return
                    if api.is_silent:
                        api.changes.wait(0.1)
                    if self.connection.fileno() < 0 or _is_cut(self.connection):
                        return
                    continue
            for version, kind, pod in new:
                seen = version
                yield {"type": kind, "object": pod}


def _is_cut(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _matches(pod: dict[str, Any], query: dict[str, str]) -> bool:
    labels = pod["metadata"].get("labels", {})
    for part in query.get("labelSelector", "").split(","):
        name, _, value = part.partition("=")
        if name and (name not in labels or (value and labels[name] != value)):
            return False
    return True
