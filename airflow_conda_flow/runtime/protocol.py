"""Messages between a runner and its step process: one JSON object per line.

    runner → step   task       sent first and once: everything that the step process needs
    step → runner   fetch      asks for an artifact's file; answered by ``artifact`` or ``error``
    step → runner   ask        asks about past runs; answered by ``answer`` or ``error``
    step → runner   publish    an artifact's file is complete; not answered
    step → runner   clock      the step's time limit starts or ends; not answered
    step → runner   cards      the contents of the step's cards; not answered
    step → runner   done       the step returned: its artifacts and its transition
    step → runner   failed     the step raised: the exception as plain data

``records/shapes.py`` defines the keys of each message. The step process compares its own version
with the one in the ``task`` message.
"""

import _thread
import json
import os

from airflow_conda_flow.errors import CondaFlowError

VERSION = 2
"""Version of the protocol. Increase it when an older peer would misread a message."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from airflow_conda_flow.records.shapes import (
        AnswerMessage,
        ArtifactMessage,
        ArtifactRef,
        AskMessage,
        CardContent,
        CardsMessage,
        ClockMessage,
        DoneMessage,
        ErrorMessage,
        ExceptionRecord,
        FailedMessage,
        FetchMessage,
        PublishMessage,
        Question,
        S3Access,
        S3Request,
        StepMessage,
        TaskMessage,
        Transition,
    )


running: "MessageStream | None" = None
"""Connection to the runner in a step process; None elsewhere."""


s3: "S3Access | None" = None
"""Socket, root and scratch directory for the S3 client of a step process; None elsewhere."""


class MessageStream:
    """Messages over the file descriptor of a connected socket.

    Any thread may call ``send`` and ``request``; only one thread at a time may call ``receive``.
    """

    def __init__(self, descriptor: int) -> None:
        self._reader = os.fdopen(descriptor, "rb")
        self._descriptor = descriptor
        self._pid = os.getpid()
        self._writing = _thread.allocate_lock()
        self._asking = _thread.allocate_lock()
        self._unanswered = 0

    def send(self, message: "StepMessage") -> None:
        """Write one complete message."""
        data = memoryview(encode(message))
        with self._writing:
            while data:
                data = data[os.write(self._descriptor, data) :]

    def request(self, message: "Question") -> "Any":
        """Write one message and wait for its answer.

        Raises:
            CondaFlowError: the runner is gone, or this process is not the one that the runner started.
        """
        if os.getpid() != self._pid:
            raise CondaFlowError(
                "A process that a step started cannot ask the step's runner. Ask in the step itself, and "
                "hand the value over."
            )
        answer = None
        with self._asking:
            self._unanswered += 1
            self.send(message)
            while self._unanswered:  # first drop answers to requests whose wait was interrupted by a signal
                answer = self.receive()
                self._unanswered -= 1
        if answer is None:
            raise CondaFlowError("The runner of this step is gone.")
        return answer

    def receive(self) -> "Any":
        """Next message; None if the other end is gone."""
        line = self._reader.readline()
        return decode(line) if line.endswith(b"\n") else None


def encode(message: "Mapping[str, Any]") -> bytes:
    r"""Message as one line of ASCII JSON.

    >>> encode({"type": "fetch", "size": 1})
    b'{"type":"fetch","size":1}\n'
    """
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> "Any":
    """Message in a line; the inverse of ``encode``."""
    return json.loads(line.decode("ascii"))


def check_version(message: "TaskMessage") -> None:
    """Check that the runner uses the same version of the protocol.

    Raises:
        CondaFlowError: the versions differ.
    """
    version = message.get("version")
    if version != VERSION:
        raise CondaFlowError(
            "The runner of this step speaks version %r of the protocol, and the step process version %r: "
            "parts of two versions of airflow-conda-flow are mixed on this machine. Install one."
            % (version, VERSION)
        )


def fetch(ref: "ArtifactRef") -> "FetchMessage":
    """Request for the file of an artifact."""
    return {"type": "fetch", "sha256": ref["sha256"], "size": ref["size"]}


def artifact(path: str) -> "ArtifactMessage":
    """Answer to ``fetch``: path of a verified file that will not change."""
    return {"type": "artifact", "path": path}


def ask(call: str, arguments: "list[Any]") -> "AskMessage":
    """Request about past runs; ``call`` is a method of ``datastore.catalogue.RunCatalogue``."""
    return {"type": "ask", "call": call, "arguments": arguments}


def answer(value: "Any") -> "AnswerMessage":
    """Answer to ``ask``."""
    return {"type": "answer", "value": value}


def error(message: str, error_type: str = "CondaFlowError") -> "ErrorMessage":
    """Negative answer to ``fetch`` and ``ask``: the failure, and the name of our error class."""
    return {"type": "error", "message": message, "error": error_type}


def publish(path: str, ref: "ArtifactRef") -> "PublishMessage":
    """Notice that an artifact's file is complete; the runner takes the file over."""
    return {"type": "publish", "path": path, "sha256": ref["sha256"], "size": ref["size"]}


def clock(seconds: "float | None") -> "ClockMessage":
    """Notice that the step has to end within this many seconds; None: there is no limit from now on."""
    return {"type": "clock", "seconds": seconds}


def cards(contents: "list[CardContent]", is_last: bool) -> "CardsMessage":
    """Contents of the step's cards; ``is_last`` marks the final ones. Not answered."""
    return {"type": "cards", "cards": contents, "is_last": is_last}


def done(artifacts: "dict[str, ArtifactRef]", transition: "Transition | None", python: str) -> "DoneMessage":
    """Notice that the step returned; every artifact in it has been published or was already stored."""
    return {"type": "done", "artifacts": artifacts, "transition": transition, "python": python}


def failed(
    exception: "ExceptionRecord", python: str, artifacts: "dict[str, ArtifactRef] | None" = None
) -> "FailedMessage":
    """Notice that the step raised an exception.

    Args:
        exception: the exception.
        python: version of Python that the step ran on.
        artifacts: artifacts that a step under ``@catch`` leaves to the steps after it.
    """
    message: "FailedMessage" = {"type": "failed", "exception": exception, "python": python}
    if artifacts is not None:
        message["artifacts"] = artifacts
    return message


def s3_request(call: str, arguments: "list[Any]") -> "S3Request":
    """Request for objects; ``call`` is a method of ``datastore.s3_objects.S3Objects``."""
    return {"call": call, "arguments": arguments}
