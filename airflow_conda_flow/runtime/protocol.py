"""The messages between a runner and its step process: one JSON object a line.

    runner → step   task       first and once: everything that the step process needs
    step → runner   fetch      asks for an artifact's file; answered by ``artifact`` or ``error``
    step → runner   ask        asks about past runs; answered by ``answer`` or ``error``
    step → runner   publish    has written an artifact's file; not answered
    step → runner   clock      the step's own time begins, or has ended; not answered
    step → runner   cards      what the step's cards hold; not answered
    step → runner   done       the step returned: its artifacts and its transition
    step → runner   failed     the step raised: the exception as plain data

``records/shapes.py`` has the keys of each. The step process compares the version that the ``task``
message states with its own.
"""

import _thread
import json
import os

from airflow_conda_flow.errors import CondaFlowError

VERSION = 1
"""Raise it when an older end would get a message wrong."""

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
"""The way to the runner, in a step process; None elsewhere."""


s3: "S3Access | None" = None
"""How the S3 client of a step process reaches its runner, and where it puts things; None elsewhere."""


class MessageStream:
    """Messages over a file descriptor of a connected socket.

    Any thread may send and request; one at a time receives.
    """

    def __init__(self, descriptor: int) -> None:
        self._reader = os.fdopen(descriptor, "rb")
        self._descriptor = descriptor
        self._pid = os.getpid()
        self._writing = _thread.allocate_lock()
        self._asking = _thread.allocate_lock()
        self._unanswered = 0

    def send(self, message: "StepMessage") -> None:
        """Write one message whole."""
        data = memoryview(encode(message))
        with self._writing:
            while data:
                data = data[os.write(self._descriptor, data) :]

    def request(self, message: "Question") -> "Any":
        """Write one message and wait for its answer.

        Raises:
            CondaFlowError: the runner is gone, or this is not the process that it started.
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
            while self._unanswered:  # a signal may have ended an earlier wait; its answer comes first
                answer = self.receive()
                self._unanswered -= 1
        if answer is None:
            raise CondaFlowError("The runner of this step is gone.")
        return answer

    def receive(self) -> "Any":
        """The next message; None when the other end is gone."""
        line = self._reader.readline()
        return decode(line) if line.endswith(b"\n") else None


def encode(message: "Mapping[str, Any]") -> bytes:
    r"""One line of ASCII JSON.

    >>> encode({"type": "fetch", "size": 1})
    b'{"type":"fetch","size":1}\n'
    """
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> "Any":
    """The inverse of ``encode``."""
    return json.loads(line.decode("ascii"))


def check_version(message: "TaskMessage") -> None:
    """Compare the version that a runner speaks with that of this end.

    Raises:
        CondaFlowError: they differ.
    """
    version = message.get("version")
    if version != VERSION:
        raise CondaFlowError(
            "The runner of this step speaks version %r of the protocol, and the step process version %r: "
            "parts of two versions of airflow-conda-flow are mixed on this machine. Install one."
            % (version, VERSION)
        )


def fetch(ref: "ArtifactRef") -> "FetchMessage":
    """Ask for the file of an artifact."""
    return {"type": "fetch", "sha256": ref["sha256"], "size": ref["size"]}


def artifact(path: str) -> "ArtifactMessage":
    """The answer to ``fetch``: a verified file that stays as it is."""
    return {"type": "artifact", "path": path}


def ask(call: str, arguments: "list[Any]") -> "AskMessage":
    """Ask about past runs: ``call`` is a method of ``datastore.catalogue.RunCatalogue``."""
    return {"type": "ask", "call": call, "arguments": arguments}


def answer(value: "Any") -> "AnswerMessage":
    """The answer to ``ask``."""
    return {"type": "answer", "value": value}


def error(message: str, error_type: str = "CondaFlowError") -> "ErrorMessage":
    """The other answer to ``fetch`` and ``ask``: the failure, and which of our errors it is."""
    return {"type": "error", "message": message, "error": error_type}


def publish(path: str, ref: "ArtifactRef") -> "PublishMessage":
    """Say that an artifact's file is complete, and give it to the runner."""
    return {"type": "publish", "path": path, "sha256": ref["sha256"], "size": ref["size"]}


def clock(seconds: "float | None") -> "ClockMessage":
    """Say that the step ends by itself within so many seconds; None: from now on there is no limit."""
    return {"type": "clock", "seconds": seconds}


def cards(contents: "list[CardContent]", is_last: bool) -> "CardsMessage":
    """Say what the step's cards hold, and whether that is all; not answered."""
    return {"type": "cards", "cards": contents, "is_last": is_last}


def done(artifacts: "dict[str, ArtifactRef]", transition: "Transition | None", python: str) -> "DoneMessage":
    """Say that the step returned; every artifact named was published, or stored before."""
    return {"type": "done", "artifacts": artifacts, "transition": transition, "python": python}


def failed(
    exception: "ExceptionRecord", python: str, artifacts: "dict[str, ArtifactRef] | None" = None
) -> "FailedMessage":
    """Say that the step raised.

    Args:
        exception: what it raised.
        python: the version that it ran on.
        artifacts: what a step under ``@catch`` leaves to those that follow.
    """
    message: "FailedMessage" = {"type": "failed", "exception": exception, "python": python}
    if artifacts is not None:
        message["artifacts"] = artifacts
    return message


def s3_request(call: str, arguments: "list[Any]") -> "S3Request":
    """Ask for objects: ``call`` is a method of ``datastore.s3_objects.S3Objects``."""
    return {"call": call, "arguments": arguments}
