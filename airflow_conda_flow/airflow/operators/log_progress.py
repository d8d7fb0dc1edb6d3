"""Progress of solving and downloading, as lines in Airflow's task log."""

from __future__ import annotations

import threading
from typing import Any


class LogProgress:
    """``Progress`` that writes to a logger.

    It logs totals only: a task log is a file, in which a progress bar would be thousands of lines.

    Args:
        log: the operator's logger.
    """

    def __init__(self, log: Any) -> None:
        self._log = log
        self._bytes = 0
        self._mutex = threading.Lock()

    def say(self, text: str) -> None:
        """Log the text."""
        self._log.info("%s", text)

    def expect(self, size: int) -> None:
        """Log the size of the packages to fetch, in bytes; nothing if it is 0."""
        if size:
            self._log.info("Fetching packages: %.1f MB", size / 1e6)

    def advance(self, size: int) -> None:
        """Add to the count of fetched bytes; called from many threads."""
        with self._mutex:
            self._bytes += size

    def finish(self) -> None:
        """Log the count of fetched bytes, and reset it."""
        if self._bytes:
            self._log.info("Fetched %.1f MB", self._bytes / 1e6)
            self._bytes = 0
