"""Address of the main node of a ``num_parallel``: node 0 stores it, and the other nodes wait for it.

The address is stored with a MAC under a key that only the requests of the nodes have: libraries such as
PyTorch take objects from the main node, so it must not be one of somebody who may write the datastore.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import secrets
import socket
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import NotAsPrepared, NotInDatastore, TaskFailed

if TYPE_CHECKING:
    from airflow_conda_flow.runner.task_request import TaskRequest

THIS_MACHINE = "127.0.0.1"
_PAUSE = 0.5  # seconds between two reads of the datastore, by every waiting node
_PATIENCE = 3600.0
"""Seconds for which a node waits for node 0.

Long, because a cluster may have to add machines before all nodes have room. If node 0 fails,
``compute/gang.py`` ends the others earlier; this limit is for the case that its process is gone too.
"""


def main_address(storage: Storage, request: TaskRequest, cancel: threading.Event) -> str:
    """Address of node 0. Node 0 stores its own; any other node waits until it is stored.

    Args:
        storage: the datastore's.
        request: the attempt of a node; all nodes have the same attempt number.
        cancel: when set, the wait ends.

    Raises:
        TaskFailed: node 0 did not start in time, or ``cancel`` was set.
        NotAsPrepared: another one than node 0 has stored an address.
    """
    key, node = _key(request), request.indices[-1]
    if node == 0:
        address = own_address(storage)
        storage.write_bytes(key, _sealed(address, request).encode())
        return address
    deadline = time.monotonic() + _PATIENCE
    while True:
        with contextlib.suppress(NotInDatastore):
            if known := storage.read_bytes(key):  # empty after ``forget_address``
                return _address(known, request, f"{key} in the datastore {storage.url}")
        if cancel.wait(_PAUSE):
            raise TaskFailed(f"Node {node} of step {request.step} was ended before node 0 ran.")
        if time.monotonic() > deadline:
            raise TaskFailed(
                f"Node {node} of step {request.step} waited {_PATIENCE / 60:g} minutes for node 0, "
                "which did not start. Is there room for all nodes at once?"
            )


def new_gang_key() -> str:
    """Key for the nodes of one attempt."""
    return secrets.token_hex(16)


def _sealed(address: str, request: TaskRequest) -> str:
    """Address with its MAC, or alone if whoever started the nodes gave them no key."""
    if request.gang_key is None:
        return address
    return f"{address} {hmac.digest(request.gang_key.encode(), address.encode(), 'sha256').hex()}"


def _address(stored: bytes, request: TaskRequest, name: str) -> str:
    text = stored.decode("ascii", "replace")
    address = text.partition(" ")[0]
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(address)
        if hmac.compare_digest(text.encode(), _sealed(address, request).encode()):
            return address
    raise NotAsPrepared(
        f"{name} is not what node 0 of step {request.step} wrote.",
        "The node was not started. Find out who wrote it (docs/security.md), and start the run again.",
    )


def forget_address(storage: Storage, request: TaskRequest) -> None:
    """Clear the stored address of node 0, before any node is started.

    A run that is created again under its old id may find the address of the earlier run. Storages have no
    operation that removes a key, so an empty value stands for no address.

    Args:
        storage: the datastore's.
        request: the attempt of any of the nodes.
    """
    storage.write_bytes(_key(request), b"")


def _key(request: TaskRequest) -> str:
    return layout.node_address(replace(request, indices=(*request.indices[:-1], 0)).name)


def own_address(storage: Storage) -> str:
    """Address of this machine or container, as seen from the network that leads to the datastore."""
    if not isinstance(storage, S3Storage):
        return THIS_MACHINE
    url = urlsplit(storage.client.meta.endpoint_url)
    places = socket.getaddrinfo(url.hostname, url.port or 443, type=socket.SOCK_DGRAM)
    for family, kind, protocol, _, place in places:
        with socket.socket(family, kind, protocol) as probe:
            try:
                # Connecting a UDP socket sends nothing; the kernel only chooses the route and the address.
                probe.connect(place)
            except OSError:
                continue
            return str(probe.getsockname()[0])
    return socket.gethostbyname(socket.gethostname())
