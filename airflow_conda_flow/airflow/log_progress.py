"""Resolving and downloading, as lines of Airflow's task log."""

from __future__ import annotations

import threading
from typing import Any


class LogProgress:
    """A ``Progress`` that logs.

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
        """Log how much is to come."""
        if size:
            self._log.info("Fetching packages: %.1f MB", size / 1e6)

    def advance(self, size: int) -> None:
        """Count the bytes."""
        with self._mutex:
            self._bytes += size

    def finish(self) -> None:
        """Log how much came."""
        if self._bytes:
            self._log.info("Fetched %.1f MB", self._bytes / 1e6)
            self._bytes = 0
