"""Artifacts of one task in the step process: read on first access, written at the end."""

import errno
import os

from airflow_conda_flow.errors import ArtifactError, CondaFlowError, UnpicklableArtifact
from airflow_conda_flow.runtime import pickling, protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.records.shapes import ArtifactRef
    from airflow_conda_flow.runtime.protocol import MessageStream

_IMMUTABLE = (type(None), bool, int, float, complex, str, bytes)  # the same object is the same value
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_MOST_PARTS = 1000  # per container; keeps the search for an unpicklable part short


class ArtifactClient:
    """Reader and writer of artifacts, through the runner.

    Args:
        stream: connection to the runner.
        scratch: directory for files on their way to the datastore.
        pickle_protocol: highest protocol that every later step can read.
        step: name of the step, for messages.
    """

    def __init__(self, stream: "MessageStream", scratch: str, pickle_protocol: int, step: str) -> None:
        self._stream = stream
        self._scratch = scratch
        self._protocol = pickle_protocol
        self._step = step
        self._written = 0
        self._pid = os.getpid()

    def __reduce__(self) -> "Any":
        raise TypeError(
            "a flow object or an input of a join cannot be pickled; take the attributes that you need"
        )

    def load(self, ref: "ArtifactRef", name: str) -> "Any":
        """Value of a stored artifact.

        Args:
            ref: reference of the artifact.
            name: name of the artifact in messages.

        Raises:
            ArtifactError: this step's environment cannot unpickle the value.
        """
        path = self._path(ref)
        try:
            return pickling.load_from_file(path)
        except MemoryError:
            raise
        except Exception as cause:
            raise ArtifactError(
                "%s, a %s, cannot be read in step %r: %s.%s"
                % (name, ref["type"], self._step, str(cause).rstrip("."), _hint(cause))
            ) from cause

    def store(self, name: str, value: "Any") -> "ArtifactRef":
        """Pickle a value, hand its file to the runner, and return its reference.

        Raises:
            UnpicklableArtifact: the value cannot be pickled; the message names the attribute, step and type.
            ArtifactError: the disk is full, or cannot be written.
        """
        path = os.path.join(self._scratch, "artifact-%d" % self._written)
        self._written += 1
        try:
            ref = pickling.dump_to_file(value, path, self._protocol)
        except MemoryError:
            raise
        except OSError as cause:
            if cause.errno not in _OF_THE_DISK:
                raise  # of the value's own pickling
            os.unlink(path)  # makes room for the record of this failure
            raise ArtifactError(
                "self.%s of step %r cannot be stored in %s: %s. Make room there, or set datastore_root (with "
                "S3: cache_dir) to another disk." % (name, self._step, self._scratch, cause.strerror)
            ) from cause
        except RecursionError as cause:
            os.unlink(path)
            raise UnpicklableArtifact(
                "self.%s of step %r cannot be stored: it is a %s that is nested too deeply to be pickled. "
                "Flatten it, or raise sys.setrecursionlimit() in the step before it ends."
                % (name, self._step, pickling.type_name(value))
            ) from cause
        except Exception as cause:
            os.unlink(path)
            raise UnpicklableArtifact(self._explain(name, value, cause)) from cause
        self._stream.send(protocol.publish(path, ref))
        return ref

    def is_unchanged(self, value: "Any", original: "Any", ref: "ArtifactRef") -> bool:
        """True if a value that was loaded from ``ref`` has not changed since.

        Args:
            value: current value of the attribute.
            original: object that ``load`` returned.
            ref: reference it was loaded from.
        """
        if ref["protocol"] > self._protocol:
            return False
        if value is original and type(value) in _IMMUTABLE:
            return True
        try:
            now = pickling.digest(value, ref["protocol"])
            if now == ref["sha256"]:
                return True
            # Equal values may pickle differently (a set's order), so compare with a fresh copy.
            return now == pickling.digest(self.load(ref, ""), ref["protocol"])
        except Exception:  # noqa: BLE001 - if in doubt, the value is stored, and storing reports the error
            return False

    def _path(self, ref: "ArtifactRef") -> str:
        if os.getpid() != self._pid:
            raise ArtifactError(
                "A process that step %r started reads an artifact that the step has not read. "
                "Read it in the step first, or pass its value to the process." % self._step
            )
        answer = self._stream.request(protocol.fetch(ref))
        if answer["type"] == "error":
            raise CondaFlowError(answer["message"])
        return answer["path"]  # type: ignore[no-any-return]

    def _explain(self, name: str, value: "Any", cause: "Exception") -> str:
        place, culprit = _find_unpicklable(value, self._protocol, set())
        inner = ""
        if place:
            inner = ", at self.%s%s: %s" % (name, place, pickling.type_name(culprit))
        return (
            "self.%s of step %r cannot be stored: its type is %s%s (%s). "
            "Assign something that can be pickled, or keep it in a plain variable."
            % (name, self._step, pickling.type_name(value), inner, str(cause).rstrip("."))
        )


def _hint(cause: "Exception") -> str:
    if isinstance(cause, ImportError):
        return " Give this step the library that defines it, with @conda(libraries={...})."
    if isinstance(cause, AttributeError):
        return " The step that wrote it had another version of the module; give both the same."
    return ""


def _find_unpicklable(value: "Any", pickle_protocol: int, seen: "set[int]") -> "tuple[str, Any]":
    """Path and value of the innermost unpicklable part, inside dicts, lists, tuples and attributes."""
    if callable(value) or id(value) in seen:
        return "", value
    seen.add(id(value))
    for place, item in _parts(value)[:_MOST_PARTS]:
        try:
            pickling.digest(item, pickle_protocol)
        except Exception:  # noqa: BLE001 - any failure marks the place
            inner, culprit = _find_unpicklable(item, pickle_protocol, seen)
            return place + inner, culprit
    return "", value


def _parts(value: "Any") -> "list[tuple[str, Any]]":
    if isinstance(value, dict):
        return [("[%.80r]" % (key,), item) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [("[%d]" % number, item) for number, item in enumerate(value)]
    state = getattr(value, "__dict__", None)
    return [(".%s" % key, item) for key, item in state.items()] if isinstance(state, dict) else []
