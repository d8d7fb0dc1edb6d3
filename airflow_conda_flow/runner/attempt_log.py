"""The log of an attempt: kept in files while its process runs, stored when it ends."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.logs import stamp
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.records.names import AttemptName


class AttemptLog:
    """Two logs, ``stdout`` and ``stderr``, on disk: a step may print more than fits into memory.

    Args:
        folder: directory of the files, which are created with their first line.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}
        self._amid_line: set[str] = set()

    def add(self, stream: str, data: bytes) -> None:
        """Append bytes to the log of ``stdout`` or ``stderr``, with a time stamp before each line."""
        if not data:
            return
        file = self._files.get(stream)
        if file is None:
            file = self._files[stream] = (self._folder / stream).open("wb")
        now = stamp()
        for line in data.splitlines(keepends=True) if b"\n" in data[:-1] else (data,):
            if stream not in self._amid_line:
                file.write(now)
            file.write(line)
            if line.endswith(b"\n"):
                self._amid_line.discard(stream)
            else:
                self._amid_line.add(stream)

    def store(self, storage: Storage, name: AttemptName) -> None:
        """Store the logs that are not empty; nothing can be added to them afterwards."""
        for stream, file in self._files.items():
            file.close()
            storage.upload(Path(file.name), layout.task_log(name, stream))

    def close(self) -> None:
        """Close the files, stored or not."""
        for file in self._files.values():
            file.close()


def shown(data: bytes) -> str:
    r"""Text of a line as a terminal shows it: of a progress bar that overwrites itself, the last state.

    >>> shown(b"10%\r20%\r\n"), shown(b"caf\xe9\n")
    ('20%', 'caf�')
    """
    return data.decode("utf-8", "replace").rstrip("\r\n").rpartition("\r")[2]
