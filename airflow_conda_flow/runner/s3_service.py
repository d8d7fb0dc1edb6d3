"""``S3Service``: the runner's side of the S3 client that steps use.

It has its own socket, so that threads and forked processes of the step can transfer objects in parallel,
and neither artifacts nor log lines wait for them. Each connection carries one request and one answer, a
line of JSON each:

    step → runner   {"call": "get", "arguments": [...]}
    runner → step   {"type": "answer", "value": ...} | {"type": "error", "message": ..., "error": "<class>"}

Objects are passed as files. The socket has mode 0600, so that only this user can connect, and no call returns
credentials.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_conda_flow.datastore.s3_client import ClientOfProcess
from airflow_conda_flow.datastore.s3_objects import S3Objects
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import CondaFlowError
from airflow_conda_flow.runtime import protocol, socket_path

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import AnswerMessage, ErrorMessage, S3Request


class S3Service:
    """Server for the S3 requests of one attempt; runs in threads until it is closed.

    Attributes:
        path: path of the socket; None if none could be made, which the step reports when it needs S3.

    Args:
        storage: the datastore's; if it is in S3, its credentials are used, else boto3's default chain.
        scratch: the attempt's scratch directory, where the socket is made.
    """

    def __init__(self, storage: Storage, scratch: Path) -> None:
        client = (lambda: storage.client) if isinstance(storage, S3Storage) else ClientOfProcess().get
        root = storage.url if isinstance(storage, S3Storage) else None
        self._objects = S3Objects(client, datastore_root=root)
        self._is_closed = False
        self._folder: Path | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        self.path = self._bound(scratch)
        if self.path is None:
            self._listener.close()
        else:
            threading.Thread(target=self._listen, name="s3", daemon=True).start()

    def close(self) -> None:
        """Stop running transfers and accept no further request."""
        self._is_closed = True
        self._objects.stop()
        if self.path is not None:
            # Closing a socket does not wake a thread that waits in ``accept``; a connection does.
            with (
                contextlib.suppress(OSError),
                socket.socket(socket.AF_UNIX) as knock,
                socket_path.short(self.path) as path,
            ):
                knock.connect(path)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _bound(self, scratch: Path) -> str | None:
        """Path of the bound socket: in the scratch directory, else among the temporary files, else None.

        The scratch directory is on the datastore's or the cache's file system, which may not support sockets.
        """
        with contextlib.suppress(OSError):
            return self._bound_at(str(scratch / "s3"))
        with contextlib.suppress(OSError):
            self._folder = Path(tempfile.mkdtemp(prefix="s3-"))
            return self._bound_at(str(self._folder / "s3"))
        return None

    def _bound_at(self, path: str) -> str:
        with socket_path.short(path) as bindable:
            self._listener.bind(bindable)
        # Before ``listen``: until then nobody can connect, whatever mode the umask gave the socket.
        Path(path).chmod(0o600)
        # Length of the queue for ``accept``. Every call of the step's client opens a connection, from all its
        # threads and processes; if the queue is full, they wait in ``connect``.
        self._listener.listen(64)
        return path

    def _listen(self) -> None:
        with self._listener:
            while True:
                try:
                    link, _ = self._listener.accept()
                except OSError:
                    return
                if self._is_closed:
                    link.close()
                    return
                threading.Thread(target=self._serve, args=[link], name="s3", daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        # OSError: the step no longer waits, because it timed out or was killed.
        with contextlib.suppress(OSError), link, link.makefile("rb") as reader:
            line = reader.readline()
            if line.endswith(b"\n"):
                link.sendall(protocol.encode(self._answer(protocol.decode(line))))

    def _answer(self, request: S3Request) -> AnswerMessage | ErrorMessage:
        try:
            return protocol.answer(self._objects.call(request["call"], request["arguments"]))
        except CondaFlowError as error:
            return protocol.error(str(error), type(error).__name__)
        except Exception as error:  # noqa: BLE001 - the step waits for an answer, whatever it is
            return protocol.error(f"{type(error).__name__}: {error}", "S3Failed")
