"""The messages between a runner and its step process: one JSON object a line.

    runner → step   task       first and once: everything that the step process needs
    step → runner   fetch      wants an artifact's file; answered by ``artifact`` or ``error``
    step → runner   ask        wants to know of past runs; answered by ``answer`` or ``error``
    step → runner   publish    has written an artifact's file; not answered
    step → runner   clock      the step's own time begins, or has ended; not answered
    step → runner   cards      what the step's cards hold; not answered
    step → runner   done       the step returned: its artifacts and its transition
    step → runner   failed     the step raised: the exception as plain data

Both ends import this file, so both speak the version that it states.
"""

import _thread
import json
import os

from airflow_conda_flow.errors import CondaFlowError

VERSION = 1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Message = dict[str, Any]


running: "MessageStream | None" = None
"""The way to the runner, in a step process; None elsewhere."""


s3: "Message | None" = None
"""How the S3 client of a step process reaches its runner, and where it puts things; None elsewhere."""


class MessageStream:
    """Messages over a file descriptor of a connected socket.

    Any thread may send and request; one at a time receives.
    """

    def __init__(self, descriptor: "int") -> "None":
        self._reader = os.fdopen(descriptor, "rb")
        self._descriptor = descriptor
        self._pid = os.getpid()
        self._writing = _thread.allocate_lock()
        self._asking = _thread.allocate_lock()
        self._unanswered = 0

    def send(self, message: "Message") -> "None":
        """Write one message whole."""
        data = memoryview(encode(message))
        with self._writing:
            while data:
                data = data[os.write(self._descriptor, data) :]

    def request(self, message: "Message") -> "Message":
        """Write one message and wait for its answer.

        Raises:
            CondaFlowError: the runner is gone, or this is not the process that it started.
        """
        if os.getpid() != self._pid:
            raise CondaFlowError(
                "A process that a step started cannot ask the step's runner. Ask in the step itself, and "
                "hand the value over."
            )
        with self._asking:
            self._unanswered += 1
            self.send(message)
            while self._unanswered:  # a signal may have ended an earlier wait; its answer comes first
                answer = self.receive()
                self._unanswered -= 1
        if answer is None:
            raise CondaFlowError("The runner of this step is gone.")
        return answer

    def receive(self) -> "Message | None":
        """The next message; None when the other end is gone."""
        line = self._reader.readline()
        return decode(line) if line.endswith(b"\n") else None


def encode(message: "Message") -> "bytes":
    r"""One line of ASCII JSON.

    >>> encode({"type": "fetch", "size": 1})
    b'{"type":"fetch","size":1}\n'
    """
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: "bytes") -> "Message":
    """The inverse of ``encode``."""
    return json.loads(line.decode("ascii"))  # type: ignore[no-any-return]


def task(**values: "Any") -> "Message":
    """What the step process needs to know; ``runner/task_message.py`` says what that is."""
    return dict(values, type="task", version=VERSION)


def fetch(ref: "Message") -> "Message":
    """Ask for the file of an artifact."""
    return {"type": "fetch", "sha256": ref["sha256"], "size": ref["size"]}


def artifact(path: "str") -> "Message":
    """The answer to ``fetch``: a verified file that stays as it is."""
    return {"type": "artifact", "path": path}


def answer(value: "Any") -> "Message":
    """The answer to ``ask``."""
    return {"type": "answer", "value": value}


def error(message: "str", error_type: "str" = "CondaFlowError") -> "Message":
    """The other answer to ``fetch`` and ``ask``: what went wrong, and which of our errors it is."""
    return {"type": "error", "message": message, "error": error_type}


def publish(path: "str", ref: "Message") -> "Message":
    """Say that an artifact's file is complete, and whose it is now."""
    return {"type": "publish", "path": path, "sha256": ref["sha256"], "size": ref["size"]}


def clock(seconds: "float | None") -> "Message":
    """Say that the step ends by itself within so many seconds; None: from now on there is no limit."""
    return {"type": "clock", "seconds": seconds}


def cards(parts: "list[Message]", is_last: "bool") -> "Message":
    """Say what the step's cards hold, and whether that is all; not answered."""
    return {"type": "cards", "cards": parts, "is_last": is_last}


def done(artifacts: "Message", transition: "Message | None", python: "str") -> "Message":
    """Say that the step returned; every artifact named was published, or stored before."""
    return {"type": "done", "artifacts": artifacts, "transition": transition, "python": python}


def failed(exception: "Message", python: "str", artifacts: "Message | None" = None) -> "Message":
    """Say that the step raised; ``python`` is the version that it ran on.

    ``artifacts`` are what a step under ``@catch`` leaves to those that follow.
    """
    message = {"type": "failed", "exception": exception, "python": python}
    return message if artifacts is None else dict(message, artifacts=artifacts)
