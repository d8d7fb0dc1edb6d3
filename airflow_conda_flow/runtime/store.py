"""The artifacts of one task, as the step process sees them: read on first touch, written at the end."""

import os

from airflow_conda_flow.errors import CondaFlowError, UnpicklableArtifact
from airflow_conda_flow.runtime import pickling, protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.runtime.protocol import Message, MessageStream

_IMMUTABLE = (type(None), bool, int, float, complex, str, bytes)


class ArtifactClient(object):
    """Reads and writes artifacts through the runner.

    Args:
        stream: the way to the runner.
        scratch: a directory for files on their way to the datastore.
        pickle_protocol: what every later step can read.
        step: the step's name, for messages.
    """

    def __init__(self, stream, scratch, pickle_protocol, step):
        # type: (MessageStream, str, int, str) -> None
        self._stream = stream
        self._scratch = scratch
        self._protocol = pickle_protocol
        self._step = step
        self._written = 0

    def load(self, ref):
        # type: (Message) -> Any
        """The value of a stored artifact."""
        return pickling.load_from_file(self._path(ref))

    def store(self, name, value):
        # type: (str, Any) -> Message
        """Pickle a value and hand its file to the runner; returns its reference.

        Raises:
            UnpicklableArtifact: names the attribute, the step and the type.
        """
        path = os.path.join(self._scratch, "artifact-%d" % self._written)
        self._written += 1
        try:
            ref = pickling.dump_to_file(value, path, self._protocol)
        except MemoryError:
            raise
        except Exception as cause:
            os.unlink(path)
            raise UnpicklableArtifact(self._explain(name, value, cause)) from cause
        self._stream.send(protocol.publish(path, ref))
        return ref

    def is_unchanged(self, value, original, ref):
        # type: (Any, Any, Message) -> bool
        """Whether a value that was loaded from ``ref`` still is what was loaded.

        Args:
            value: what the attribute holds now.
            original: the object that ``load`` gave.
            ref: where it came from.
        """
        if ref["protocol"] > self._protocol:
            return False
        if value is original and isinstance(value, _IMMUTABLE):
            return True
        try:
            now = pickling.digest(value, ref["protocol"])
            if now == ref["sha256"]:
                return True
            # Equal values may pickle differently (a set's order): compare with a fresh copy.
            return now == pickling.digest(self.load(ref), ref["protocol"])
        except Exception:  # noqa: BLE001 - what cannot be compared is stored, and fails there
            return False

    def _path(self, ref):
        # type: (Message) -> str
        self._stream.send(protocol.fetch(ref))
        answer = self._stream.receive()
        if answer is None:
            raise CondaFlowError("The runner of this step is gone.")
        if answer["type"] == "error":
            raise CondaFlowError(answer["message"])
        return answer["path"]  # type: ignore[no-any-return]

    def _explain(self, name, value, cause):
        # type: (str, Any, Exception) -> str
        place, culprit = _find_unpicklable(value, self._protocol)
        inner = ""
        if place:
            inner = ", at self.%s%s: %s" % (name, place, pickling.type_name(culprit))
        return (
            "self.%s of step %r cannot be stored: its type is %s%s (%s). "
            "Assign something that can be pickled, or keep it in a plain variable."
            % (name, self._step, pickling.type_name(value), inner, cause)
        )


def _find_unpicklable(value, pickle_protocol):
    # type: (Any, int) -> tuple[str, Any]
    """Where inside dicts, lists, tuples and attributes the value that cannot be pickled is."""
    if isinstance(value, dict):
        parts = [("[%r]" % (key,), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple)):
        parts = [("[%d]" % number, item) for number, item in enumerate(value)]
    else:
        state = getattr(value, "__dict__", None)
        parts = [(".%s" % key, item) for key, item in state.items()] if isinstance(state, dict) else []
    if callable(value):
        return "", value
    for place, item in parts[:1000]:
        try:
            pickling.digest(item, pickle_protocol)
        except Exception:  # noqa: BLE001 - any failure marks the place
            inner, culprit = _find_unpicklable(item, pickle_protocol)
            return place + inner, culprit
    return "", value
