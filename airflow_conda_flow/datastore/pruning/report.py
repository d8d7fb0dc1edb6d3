"""Progress of a prune, as it is told to people."""

from __future__ import annotations

from typing import Protocol


class Report(Protocol):
    """Receiver of the progress of a prune; called from one thread."""

    def phase(self, text: str, total: int | None = None) -> None:
        """A phase begins, such as ``reading the manifests of 12 runs``; ``total`` is its number of steps."""

    def step(self, count: int = 1, size: int = 0) -> None:
        """So many more steps of the phase are done, and so many more bytes are freed."""

    def say(self, text: str) -> None:
        """Something that the user should know."""


class Silence:
    """Report that tells nothing."""

    def phase(self, text: str, total: int | None = None) -> None:
        """Tell nothing."""

    def step(self, count: int = 1, size: int = 0) -> None:
        """Tell nothing."""

    def say(self, text: str) -> None:
        """Tell nothing."""
