"""A pod or job that a run has left running, for the commands ``list`` and ``kill``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Unfinished:
    """A pod or job that has not ended.

    Attributes:
        run_id: id of its run.
        task: name of its attempt, as ``flow/run/step/task/attempt``.
        name: ``namespace/pod`` or ``queue/job id``.
        state: state in the words of Kubernetes or Batch.
        end: asks Kubernetes or Batch to end it, without waiting.
    """

    run_id: str
    task: str
    name: str
    state: str
    end: Callable[[], None]
