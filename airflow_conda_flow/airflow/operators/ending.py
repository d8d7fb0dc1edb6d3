"""The early end of a step that Airflow asks for, within the time that it waits for one."""

from __future__ import annotations

import threading
from collections.abc import Callable

# Airflow kills a task's process 5 s after it has asked for its end: ``escalation_delay`` of
# ``airflow.sdk.execution_time.supervisor``, which no setting changes.
_TOLD_AFTER = 4.0


class Ending:
    """End of a step that may be asked for while it runs.

    Args:
        tell: receives a line if the end takes longer than Airflow waits; None if later lines are not stored.
        pathspec: the run and step, as the command ``logs`` takes them.

    Attributes:
        cancel: set when the end was asked for.
    """

    def __init__(self, tell: Callable[[str], object] | None, pathspec: str) -> None:
        self.cancel = threading.Event()
        self._is_over = threading.Event()
        self._tell = tell
        self._pathspec = pathspec

    def ask(self) -> None:
        """Ask for the end, and wait for it; call this in a thread of its own."""
        self.cancel.set()
        if self._tell is not None and not self._is_over.wait(_TOLD_AFTER):
            self._tell(
                "The step has not ended yet, and Airflow is about to close this log. What the step prints "
                f"from now on is stored with its task. Read it with: python <flow file> logs {self._pathspec}"
            )

    def close(self) -> None:
        """Note that the step is over."""
        self._is_over.set()
