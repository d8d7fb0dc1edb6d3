"""``DataArtifact``: one stored value of a task."""

from airflow_conda_flow.client.stored_object import StoredObject
from airflow_conda_flow.errors import ArtifactError
from airflow_conda_flow.runtime import pickling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from typing import Any

    from airflow_conda_flow.client.past_task import Task
    from airflow_conda_flow.records.shapes import ArtifactRef


class DataArtifact(StoredObject):
    """One artifact of a task: ``DataArtifact("TrainFlow/1795547131171801/start/start-0/model")``.

    ``data`` reads the value; the other properties describe it without reading it.
    """

    depth = 5

    if TYPE_CHECKING:

        @property
        def parent(self) -> "Task":
            """Task that stored the artifact."""

    @classmethod
    def _known(cls, task: "StoredObject", name: str, ref: "ArtifactRef") -> "DataArtifact":
        made: "DataArtifact" = cls._of(task, name, task._attempt)
        made._ref = ref
        return made

    @property
    def data(self) -> "Any":
        """Value of the artifact, read from the datastore on every access.

        Raises:
            ArtifactError: this interpreter cannot unpickle the value.
        """
        ref = self.ref
        path = self._catalogue.call("artifact", [ref["sha256"], ref["size"]])
        try:
            return pickling.load_from_file(path)
        except MemoryError:
            raise
        except Exception as cause:
            raise ArtifactError(
                "%r, a %s, cannot be read here: %s.%s"
                % (self, ref["type"], str(cause).rstrip("."), _hint(cause))
            ) from cause

    @property
    def sha(self) -> str:
        """SHA-256 of the stored bytes, in hex."""
        return self.ref["sha256"]

    @property
    def size(self) -> int:
        """Size in the datastore, in bytes."""
        return self.ref["size"]

    @property
    def artifact_name(self) -> str:
        """Name of the artifact."""
        return self.id

    @property
    def ref(self) -> "ArtifactRef":
        """Reference in the task's manifest: ``sha256``, ``size``, ``type``, ``protocol``, ``preview``."""
        if "_ref" not in self.__dict__:
            self._load()
        return self._ref

    @property
    def created_at(self) -> "datetime":
        """Time when the task of this artifact finished, in this machine's time zone."""
        return self.parent.finished_at

    finished_at = created_at

    def _load(self) -> None:
        ref = self.parent._record().artifacts.get(self.id)
        if ref is None:
            raise self._missing()
        self._ref: ArtifactRef = ref

    def _children(self) -> "Iterator[StoredObject]":
        return iter(())

    def _child(self, name: str) -> None:
        """None: an artifact has no children."""


def _hint(cause: "Exception") -> str:
    if isinstance(cause, ImportError):
        return (
            " Reading it needs the libraries and the modules of its step: task.environment and run.code name "
            "them."
        )
    if isinstance(cause, ValueError):
        return " A newer Python wrote it; read it with that version."
    return ""
