"""How the S3 client reaches S3: in a step through its runner, elsewhere with boto3.

A step's process and those that it forks ask the runner over a socket of its own
(``runner/s3_service.py``), a connection each, so that neither threads nor processes wait for one another.
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

_direct: "list[Any]" = []


def call(name: str, arguments: "list[Any]") -> "Any":
    """The result of the method of ``datastore/s3_objects.py`` of that name.

    Raises:
        S3Error: it failed.
    """
    if protocol.s3 is not None:
        return _asked(protocol.s3["socket"], name, arguments)
    if not _direct:
        _direct.append(_opened())
    return _direct[0].call(name, arguments)


def root() -> "str | None":
    """Below which URL the objects of runs are: that of the run around, or of the settings."""
    if protocol.s3 is not None:
        return protocol.s3["root"]
    settings = _ours("settings")
    if "airflow" in sys.modules:
        return _ours("airflow.configuration").airflow_settings().datatools_root  # type: ignore[no-any-return]
    return settings.load_settings().datatools_root  # type: ignore[no-any-return]


def scratch() -> "str | None":
    """Where temporary files go if nobody says; None for where they always go."""
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
    if "airflow" in sys.modules:  # a worker, or whatever else has Airflow's configuration and connections
        storage = bound("airflow_datastore")({}).storage
        if storage.kind == "s3":
            client = lambda: storage.client  # noqa: E731
    return _ours("datastore.s3_objects").S3Objects(client)


def _ours(name: str) -> "Any":
    """A module that step environments lack."""
    try:
        return importlib.import_module("airflow_conda_flow." + name)
    except ImportError as error:
        if not (error.name or "").startswith("airflow_conda_flow"):
            raise
        raise errors.S3Failed(
            "The S3 client works in the process of a step, in its threads and in processes that it forks "
            "(parallel_map); not in a process that was spawned from it, such as this one."
        ) from None
