"""The line of a container's log that tells the digest of the manifest which its attempt commits.

Whoever follows the pod or job compares the stored manifest with it. The cluster keeps the log, so whoever may
write the datastore cannot change the line. A runner prints one when it begins, which says that nothing is
committed, and one before it commits. The last one counts: the step could print such a line too, but has ended
by then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_LINE = re.compile(r"airflow-conda-flow: manifest sha256 ([0-9a-f]{64})")


NOTHING = "0" * 64
"""Digest in the line of a runner that has committed nothing yet."""


def manifest_line(sha256: str) -> str:
    """The line for a digest in hex."""
    return f"airflow-conda-flow: manifest sha256 {sha256}"


class ToldManifest:
    """Takes the line out of a log.

    >>> seen = []
    >>> told = ToldManifest(emit=seen.append)
    >>> for line in ("one", manifest_line("5f" * 32)):
    ...     told.line(line)
    >>> seen, told.sha256[:4]
    (['one'], '5f5f')

    Args:
        sha256: digest that an earlier reader of the log was told.
        emit: receives every other line.

    Attributes:
        sha256: the digest; None if no line has told one.
    """

    def __init__(self, sha256: str | None = None, emit: Callable[[str], object] = lambda _line: None) -> None:
        self.sha256 = sha256
        self._emit = emit

    def line(self, text: str) -> None:
        """Read a line, and pass it on if it tells no digest."""
        for line in self.rest([text]):
            self._emit(line)

    def rest(self, lines: Iterable[str]) -> list[str]:
        """Read lines, and return those that tell no digest."""
        others = []
        for line in lines:
            if found := _LINE.fullmatch(line):
                self.sha256 = found[1]
            else:
                others.append(line)
        return others
