"""The stream of a watch: changes of pods as they happen, until the cluster or another thread ends it."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

from airflow_conda_flow.compute.kubernetes.refusals import answers, one_line, refusal, refusals


class PodEvents:
    """Changes of pods, as they arrive on one connection, which must be closed.

    Args:
        answer: a response of ``urllib3`` that was not read yet.
        task: beginning of the message about a stream that breaks.
    """

    def __init__(self, answer: Any, task: str) -> None:
        self._answer = answer
        self._task = task

    def close(self) -> None:
        """Close the connection."""
        # Not released to the pool: a stream that was left early still has bytes on its connection.
        self._answer.close()

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Kind of each change (ADDED, MODIFIED, DELETED, BOOKMARK), and the pod as Kubernetes' JSON.

        A bookmark has nothing but a version.

        Raises:
            Outdated: the cluster has forgotten the version from which we watch.
            ComputeUnavailable: the connection broke, or the cluster reports another error.
        """
        with refusals(self._task):
            for line in self._lines():
                with answers(self._task):
                    event = json.loads(line)
                    kind, pod = event["type"], event["object"]
                if kind == "ERROR":
                    raise refusal(pod.get("code"), f"{self._task}: {one_line(pod.get('message'))}")
                yield kind, pod

    def interrupt(self) -> None:
        """End the stream from another thread; the reader sees its end, or an error."""
        # Closing a socket does not wake a thread that reads from it; shutting it down does.
        with contextlib.suppress(AttributeError, OSError, RuntimeError, ValueError):
            if hasattr(self._answer, "shutdown"):  # urllib3 2.3 and later
                self._answer.shutdown()
            else:
                self._answer.connection.sock.shutdown(socket.SHUT_RD)

    def _lines(self) -> Iterator[bytes]:
        rest = b""
        for chunk in self._answer.stream(decode_content=True):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line for line in lines if line.strip())
