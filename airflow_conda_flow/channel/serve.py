"""HTTP server of a channel, for machines that cannot read its directory."""

from __future__ import annotations

import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class _Quiet(SimpleHTTPRequestHandler):
    # Keeps connections open: a solve reads many small files.
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Print nothing: a client makes many requests."""


def make_server(directory: Path, host: str, port: int) -> ThreadingHTTPServer:
    """Server of a directory's files; call ``serve_forever`` to start it. Port 0 chooses a free port."""
    handler = functools.partial(_Quiet, directory=str(directory))
    return ThreadingHTTPServer((host, port), handler)
