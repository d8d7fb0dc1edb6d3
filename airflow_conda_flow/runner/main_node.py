"""Where the main node of a ``num_parallel`` is: it says so in the datastore, and the others wait for that."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import NotInDatastore, TaskFailed

if TYPE_CHECKING:
    from airflow_conda_flow.runner.task_request import TaskRequest

THIS_MACHINE = "127.0.0.1"
_PAUSE = 0.5
_PATIENCE = 3600.0
"""Seconds for which a node waits for the main one. Whoever started them ends it earlier if that one fails."""


def main_address(storage: Storage, request: TaskRequest, cancel: threading.Event) -> str:
    """The address of node 0, which is put into the datastore by node 0 and waited for by the others.

    Args:
        storage: the datastore's.
        request: the attempt of a node; all nodes have the same attempt.
        cancel: when set, nobody waits any longer.

    Raises:
        TaskFailed: node 0 did not come up.
    """
    key, node = _key(request), request.indices[-1]
    if node == 0:
        address = own_address(storage)
        storage.write_bytes(key, address.encode())
        return address
    deadline = time.monotonic() + _PATIENCE
    while True:
        with contextlib.suppress(NotInDatastore):
            if known := storage.read_bytes(key):
                return known.decode()
        if cancel.wait(_PAUSE):
            raise TaskFailed(f"Node {node} of step {request.step} was ended before node 0 ran.")
        if time.monotonic() > deadline:
            raise TaskFailed(
                f"Node {node} of step {request.step} waited {_PATIENCE / 60:g} minutes for node 0, "
                "which did not start. Is there room for all nodes at once?"
            )


def forget_address(storage: Storage, request: TaskRequest) -> None:
    """Forget where the main node is: a run that was made again under its old id may have left it.

    Args:
        storage: the datastore's.
        request: the attempt of a node, before any is started.
    """
    storage.write_bytes(_key(request), b"")


def _key(request: TaskRequest) -> str:
    return layout.node_address(replace(request, indices=(*request.indices[:-1], 0)).name)


def own_address(storage: Storage) -> str:
    """The address of this machine, or container, in the network in which the datastore is."""
    if not isinstance(storage, S3Storage):
        return THIS_MACHINE
    url = urlsplit(storage.client.meta.endpoint_url)
    places = socket.getaddrinfo(url.hostname, url.port or 443, type=socket.SOCK_DGRAM)
    for family, kind, protocol, _, place in places:
        with socket.socket(family, kind, protocol) as probe:
            try:
                probe.connect(place)  # sends nothing: it only looks which way it would go
            except OSError:
                continue
            return str(probe.getsockname()[0])
    return socket.gethostbyname(socket.gethostname())
