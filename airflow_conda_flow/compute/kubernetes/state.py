"""Meaning of a pod's state, in one line: pure functions of the state that the cluster reports.

A pod is a ``V1Pod`` of the ``kubernetes`` library. This module does not import the library.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from airflow_conda_flow.compute.kubernetes.spec import CONTAINER
from airflow_conda_flow.compute.remote_attempt import End

# Reasons that the kubelet gives for a container that waits. Those of the first set never go away by
# themselves.
_HOPELESS = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_NOT_PULLED = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_WRONG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
# Seconds for obstacles that may disappear: a registry is busy, or a secret is about to be created.
_PATIENCE = 30.0
# Seconds after the end of a deleted pod's grace period. A node that answers removes the pod within them; if
# its node is lost, the pod is reported as running for ever.
_LOST_AFTER = 120.0
_ENDED = frozenset({"Succeeded", "Failed"})
_TERMINATED, _KILLED = 143, 137  # 128 + SIGTERM, 128 + SIGKILL
_OWN_REASONS = frozenset({"DeadlineExceeded"})
"""Reasons of a pod's end that lie in the pod itself: a new one would end likewise."""
# Messages of the kubelet when it evicts a pod that used more disk than it may.
_OWN_USE = re.compile(
    r"ephemeral local storage usage exceeds"
    r"|exceeded its local ephemeral storage limit"
    r"|Usage of EmptyDir volume"
)


@dataclass(frozen=True)
class Obstacle:
    """Reason why a pod does not run yet.

    Attributes:
        message: one line.
        patience: seconds after which the pod is given up; None if only the startup timeout applies.
    """

    message: str
    patience: float | None


def is_over(pod: Any) -> bool:
    """True if the step's container has ended, will never run, or is on a node that is lost."""
    return pod.status.phase in _ENDED or _terminated(pod) is not None or _is_lost(pod)


def _is_lost(pod: Any) -> bool:
    """True if the pod was deleted and should be gone by now: its node no longer answers."""
    # The deletion timestamp is not the time of the request, but the end of the grace period.
    end = pod.metadata.deletion_timestamp
    return end is not None and (datetime.now(timezone.utc) - end).total_seconds() > _LOST_AFTER


def has_started(pod: Any) -> bool:
    """True if the step's container runs or has run, so that it has a log."""
    status = _status(pod)
    return status is not None and (status.state.running is not None or status.state.terminated is not None)


def is_ending(pod: Any) -> bool:
    """True if the pod was told to end: it, and its log, are gone soon after its container has ended."""
    return pod.metadata.deletion_timestamp is not None


def exit_code(pod: Any) -> int | None:
    """Exit code of the step's container; None if it has not ended."""
    terminated = _terminated(pod)
    return None if terminated is None else int(terminated.exit_code)


def obstacle(pod: Any) -> Obstacle | None:
    """Obstacle that keeps a pod from running; None if its state names none."""
    name = pod.metadata.name
    for status in _statuses(pod):
        waiting = status.state.waiting
        reason = waiting.reason if waiting else None
        detail = _one_line(waiting.message) if waiting else ""
        if reason in _NOT_PULLED:
            patience = 0.0 if reason in _HOPELESS else _PATIENCE
            return Obstacle(
                f"Pod {name}: the image {status.image} cannot be pulled: {reason}{detail}", patience
            )
        if reason in _WRONG:
            return Obstacle(f"Pod {name}: its container cannot be made: {reason}{detail}", _PATIENCE)
    for condition in pod.status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return Obstacle(f"Pod {name} waits for a node{_one_line(condition.message)}", None)
    return None


def is_scheduled(pod: Any) -> bool:
    """True if the pod was assigned to a node."""
    return bool(pod.spec.node_name)


def fate(pod: Any | None, name: str) -> str | None:
    """Outside cause of a pod's end, in one line: memory, eviction, deletion; None if there was none.

    Args:
        pod: the pod's last known state; None if it no longer exists.
        name: the pod's name.
    """
    if pod is None:
        return f"Pod {name} was deleted before its step ended."
    terminated = _terminated(pod)
    if terminated is not None and terminated.reason == "OOMKilled":
        return (
            f"Pod {name} ran out of memory and was killed (OOMKilled); {_memory(pod)}. Give the step more: "
            "@resources(memory=...), in MB."
        )
    if pod.status.reason:
        evicted = pod.status.reason == "Evicted"
        what = f"was evicted from node {pod.spec.node_name}" if evicted else f"ended: {pod.status.reason}"
        return f"Pod {name} {what}{_one_line(pod.status.message)}"
    ended_from_outside = f"Pod {name} was ended from outside before its step ended."
    if terminated is None:
        deleted = pod.metadata.deletion_timestamp is not None
        return ended_from_outside if deleted else _failed_before(pod)
    # 143 is SIGTERM, which comes from outside. 137 (SIGKILL) does so for a pod that was deleted and did not
    # end within its grace period; otherwise its cause is unknown.
    killed = pod.metadata.deletion_timestamp is not None and terminated.exit_code == _KILLED
    return ended_from_outside if killed or terminated.exit_code == _TERMINATED else None


def was_taken_away(pod: Any | None) -> bool:
    """True if the cluster or a person ended the pod, so that its step did nothing wrong.

    Args:
        pod: the pod's last known state; None if it no longer exists.
    """
    if pod is None or pod.metadata.deletion_timestamp is not None:
        return True
    terminated = _terminated(pod)
    if terminated is not None and terminated.reason == "OOMKilled":
        return False
    if pod.status.reason:  # Evicted, Preempting, NodeLost, Shutdown, OutOfcpu, ...
        return pod.status.reason not in _OWN_REASONS and not _OWN_USE.search(pod.status.message or "")
    return terminated is not None and terminated.exit_code == _TERMINATED


def end_of(pod: Any | None, name: str) -> End:
    """How a pod ended.

    Args:
        pod: the pod's last known state; None if it no longer exists.
        name: the pod's name.
    """
    code = None if pod is None else exit_code(pod)
    return End(fate(pod, name), silent_end(pod, name), is_lost=was_taken_away(pod), exit_code=code)


def silent_end(pod: Any | None, name: str) -> str:
    """Message about a pod that ended without an outside cause and without a manifest."""
    code = None if pod is None else exit_code(pod)
    return f"Pod {name} ended with exit code {code} and left no result; its lines above say why."


def _failed_before(pod: Any) -> str:
    """Reason why a pod ended before the step's container ran."""
    for status in pod.status.init_container_statuses or ():
        ended = status.state.terminated
        if ended is not None and ended.exit_code != 0:
            return (
                f"The init container {status.name} of pod {pod.metadata.name} failed: {ended.reason}, "
                f"exit code {ended.exit_code}{_one_line(ended.message)}"
            )
    return f"Pod {pod.metadata.name} ended before its container ran."


def _memory(pod: Any) -> str:
    (container,) = (each for each in pod.spec.containers if each.name == CONTAINER)
    resources = container.resources
    limit = ((resources and resources.limits) or {}).get("memory")
    if limit:
        return f"its limit was {limit}"
    asked = ((resources and resources.requests) or {}).get("memory")
    return f"it asked for {asked} and had no limit" if asked else "it had no limit"


def _terminated(pod: Any) -> Any:
    status = _status(pod)
    return None if status is None else status.state.terminated


def _status(pod: Any) -> Any:
    return next((each for each in pod.status.container_statuses or () if each.name == CONTAINER), None)


def _statuses(pod: Any) -> Iterator[Any]:
    yield from pod.status.init_container_statuses or ()
    yield from pod.status.container_statuses or ()


def _one_line(message: str | None) -> str:
    r"""Message of the cluster in one line, in the form that ends a sentence.

    >>> _one_line("a\nb"), _one_line(None)
    (': a b.', '.')
    """
    text = " ".join((message or "").split()).rstrip(".")
    return f": {text}." if text else "."
