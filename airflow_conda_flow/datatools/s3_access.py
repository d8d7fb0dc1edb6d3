"""Connection of the S3 client: to the runner in a step, to S3 itself with boto3 elsewhere.

A step process and its forks ask the runner over a separate socket (``runner/s3_service.py``). Each call
opens its own connection, so that threads and processes do not wait for one another.
"""

import importlib
import socket
import sys

from airflow_conda_flow import errors
from airflow_conda_flow.flow.late_bindings import bound
from airflow_conda_flow.runtime import protocol, socket_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_direct: "list[Any]" = []  # the process's only S3Objects, once it is needed


def call(name: str, arguments: "list[Any]") -> "Any":
    """Result of a method of ``datastore/s3_objects.py``.

    Raises:
        S3Error: the method failed.
    """
    if protocol.s3 is not None:
        return _asked(protocol.s3["socket"], name, arguments)
    if not _direct:
        _direct.append(_opened())
    return _direct[0].call(name, arguments)


def root() -> "str | None":
    """URL below which runs store objects, from the current run or else from the settings; None if unset."""
    if protocol.s3 is not None:
        return protocol.s3["root"]
    settings = _ours("settings")
    if "airflow" in sys.modules:
        return _ours("airflow.configuration").airflow_settings().datatools_root  # type: ignore[no-any-return]
    return settings.load_settings().datatools_root  # type: ignore[no-any-return]


def scratch() -> "str | None":
    """Default directory for temporary files; None for the system's."""
    return None if protocol.s3 is None else protocol.s3["scratch"]


def _asked(path: "str | None", name: str, arguments: "list[Any]") -> "Any":
    if path is None:
        raise errors.S3Failed(
            "The runner of this step could not make a socket for the S3 client: neither beside the temporary "
            "files of the datastore nor in TMPDIR."
        )
    line = b""
    try:
        with socket.socket(socket.AF_UNIX) as link:
            with socket_path.short(path) as connectable:
                link.connect(connectable)
            link.sendall(protocol.encode(protocol.s3_request(name, arguments)))
            with link.makefile("rb") as reader:
                line = reader.readline()
    except (ConnectionError, FileNotFoundError):
        pass
    if not line.endswith(b"\n"):
        raise errors.S3Failed("The runner of this step is gone, and with it the way to S3.")
    answer = protocol.decode(line)
    if answer["type"] == "error":
        raise getattr(errors, answer["error"], errors.S3Failed)(answer["message"])
    return answer["value"]


def _opened() -> "Any":
    client = _ours("datastore.s3_client").ClientOfProcess().get
    if "airflow" in sys.modules:  # a worker, or another process with Airflow's configuration and connections
        storage = bound("airflow_datastore")({}).storage
        if storage.kind == "s3":
            client = lambda: storage.client  # noqa: E731
    return _ours("datastore.s3_objects").S3Objects(client)


def _ours(name: str) -> "Any":
    """Import a module of this package that step environments do not have."""
    try:
        return importlib.import_module("airflow_conda_flow." + name)
    except ImportError as error:
        if not (error.name or "").startswith("airflow_conda_flow"):
            raise
        raise errors.S3Failed(
            "The S3 client works in the process of a step, in its threads and in processes that it forks "
            "(parallel_map); not in a process that was spawned from it, such as this one."
        ) from None
