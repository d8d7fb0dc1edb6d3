"""HTTP server of a channel, for machines that cannot read its directory."""

from __future__ import annotations

import functools
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class _Quiet(SimpleHTTPRequestHandler):
    # Keeps connections open: a solve reads many small files.
    protocol_version = "HTTP/1.1"

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin a response, and tell clients how long they may cache it.

        The base class omits headers from a 304 that it sends with a 200. Some clients then assume that the
        file has changed, and fail: https://github.com/conda/rattler/issues/2719.
        """
        super().send_response(code, message)
        # Without this, clients assume for days that a file has not changed if it was old when they got it.
        self.send_header("Cache-Control", "no-cache")
        if code == HTTPStatus.NOT_MODIFIED:
            self.send_header("Last-Modified", self.headers["If-Modified-Since"])

    def log_message(self, *_: object) -> None:
        """Print nothing: a client makes many requests."""


def make_server(directory: Path, host: str, port: int) -> ThreadingHTTPServer:
    """Server of a directory's files; call ``serve_forever`` to start it. Port 0 chooses a free port."""
    handler = functools.partial(_Quiet, directory=str(directory))
    return ThreadingHTTPServer((host, port), handler)
