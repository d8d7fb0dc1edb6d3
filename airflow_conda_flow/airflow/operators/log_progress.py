"""Progress of solving and downloading, as lines in Airflow's task log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from airflow_conda_flow.environments.progress import phase_end


class LogProgress:
    """``Progress`` that writes to a logger.

    It logs totals only: a task log is a file, in which a progress bar would be thousands of lines.

    Args:
        log: the operator's logger.
    """

    def __init__(self, log: Any) -> None:
        self._log = log
        self._mutex = threading.Lock()

    def say(self, text: str) -> None:
        """Log the text."""
        self._log.info("%s", text)

    def warn(self, text: str) -> None:
        """Log the text as a warning."""
        self._log.warning("%s", text.strip())

    @contextmanager
    def phase(self, text: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Log the text, and at the end of the block the number of units and the time."""
        del total
        first, *more = text.strip().splitlines()  # details are indented on a terminal
        done, began = [0], time.monotonic()

        def advance(more: int) -> None:
            with self._mutex:
                done[0] += more

        for line in (first, *more):
            self._log.info("%s", line)
        yield advance
        named = f"{first} (and {len(more)} more)" if more else first
        self._log.info("%s: %s", named, phase_end(done[0], unit, time.monotonic() - began))
