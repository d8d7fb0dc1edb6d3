"""Serves a channel over HTTP, for machines that cannot see its directory."""

from __future__ import annotations

import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def make_server(directory: Path, host: str, port: int) -> ThreadingHTTPServer:
    """A server of a directory's files, not yet serving; port 0 takes a free one."""
    handler = functools.partial(_Quiet, directory=str(directory))
    return ThreadingHTTPServer((host, port), handler)
