"""Answers of HTTP whose headers are complete."""

from __future__ import annotations

import http.client
from typing import Any


class WholeHeaders(http.client.HTTPResponse):
    """Answer of which no header is missing or cut short.

    http.client takes the end of the connection for the end of the headers, so that a length may lack digits.
    """

    def begin(self) -> None:
        """Read the status line and the headers.

        Raises:
            ConnectionResetError: the connection ended before the headers did.
        """
        file = self.fp
        lines: Any = _Lines(file)
        self.fp = lines
        super().begin()
        if self.fp is lines:
            self.fp = file
        if lines.last not in {b"\r\n", b"\n"}:
            self.close()
            raise ConnectionResetError("the headers broke off")


class _Lines:
    """File that remembers the last line that was read from it."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.last = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def readline(self, *limit: int) -> bytes:
        self.last = self._file.readline(*limit)
        return self.last
