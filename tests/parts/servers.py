"""Servers of a deployment of Airflow for tests: PostgreSQL and Redis, each for as long as a block runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .process_group import end_group
from .real_parts import missing
from .s3_servers import free_port


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL server with an empty database; gives ``user@host:port/database``."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        missing("PostgreSQL is not installed (Debian: postgresql)")
    # PostgreSQL refuses to run as root.
    owner = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    with _folder() as folder:
        data = folder / "data"
        data.mkdir()
        if owner:
            shutil.chown(data, **owner)
        initdb = [found[-1].with_name("initdb"), "-D", data, "-U", "airflow", "--auth", "trust", "--no-sync"]
        done = subprocess.run(initdb, capture_output=True, text=True, cwd=data, check=False, **owner)
        assert done.returncode == 0, done.stderr
        port = free_port()
        options = ["listen_addresses=127.0.0.1", "fsync=off", "max_connections=300"]
        command = [found[-1], "-D", data, "-p", str(port), "-k", "", *(f"--{each}" for each in options)]
        with _server(command, folder / "log", port, **owner):
            yield f"airflow@127.0.0.1:{port}/postgres"


@contextlib.contextmanager
def redis() -> Iterator[str]:
    """A Redis server; gives its URL."""
    program = shutil.which("redis-server")
    if program is None:
        missing("redis-server is not installed (Debian: redis-server)")
    port = free_port()
    with _folder() as folder:
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
        with _server([program, "--port", str(port), *options], folder / "log", port):
            yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder that other users can read, which those of pytest are not."""
    folder = Path(tempfile.mkdtemp(prefix="server-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _server(command: list, log: Path, port: int, **owner: str) -> Iterator[None]:
    """A server, while the block runs."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, cwd="/", start_new_session=True, **owner
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{command[0]} did not start: {log.read_text()}")
            time.sleep(0.1)
        yield
    finally:
        end_group(process, 5)
