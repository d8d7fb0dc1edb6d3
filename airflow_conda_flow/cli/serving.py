"""How a command serves until somebody asks it to end, which is the end of its work and no failure."""

from __future__ import annotations

from socketserver import BaseServer


def serve_until_asked(server: BaseServer, line: str) -> int:
    """Print a line about the address, serve until Ctrl-C or SIGTERM, and return the exit code, 0."""
    try:
        print(line, flush=True)
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        print("Stopped.")
    return 0
