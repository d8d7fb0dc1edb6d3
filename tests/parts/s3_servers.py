"""Two real S3 servers as processes of their own: moto and rclone.

moto honours conditional puts, rclone ignores them and overwrites: both kinds exist in the world.

The tiers' conftest files import the fixtures ``moto_s3`` and ``rclone_s3``; a test calls
``server.use(monkeypatch)`` and ``server.make_root()``.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.loaders import JSONFileLoader

if TYPE_CHECKING:
    from collections.abc import Iterator

# Tests make a client for nearly every storage. Each would read botocore's descriptions of S3 and of all endpoints
# anew, a megabyte of JSON; those of one session share them.
_read_json = functools.cache(functools.partial(JSONFileLoader.load_file, JSONFileLoader()))
JSONFileLoader.load_file = lambda _self, path: _read_json(path)

ON_DISK = "/var/tmp"
"""Folder for what servers keep until their end. Where tests run in memory, it would fill that."""
_SMALL = 64 * 1024
"""Bytes up to which moto keeps an object in memory."""
AWS_SERVER = Path(__file__).with_name("aws_server.py")
ACCESS_KEY = "testkey"
SECRET_KEY = "testsecret"


@dataclass(frozen=True)
class S3Server:
    """A running server. ``honours_conditions``: it refuses a conditional put of a key it has."""

    name: str
    endpoint: str
    honours_conditions: bool
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables with which boto3 talks to this server and no other."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Points this process and its children at the server."""
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.delenv(name, raising=False)
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    @functools.cache  # noqa: B019  a few servers, as long as the tests
    def make_client(self):
        """A plain boto3 client of this server, always the same one."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
        )

    def make_root(self) -> str:
        """``s3://bucket/prefix`` in a new bucket."""
        bucket = f"bucket-{secrets.token_hex(6)}"
        self.make_client().create_bucket(Bucket=bucket)
        return f"s3://{bucket}/some/prefix"

    def wait(self, process: subprocess.Popen[bytes], seconds: float = 30) -> None:
        """Returns when the server answers."""
        host, port = self.endpoint.removeprefix("http://").split(":")
        deadline = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} did not start: {self.log.read_text()}")


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def executable(name: str) -> str:
    """The console script of this interpreter's environment."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} is not installed: pip install '.[dev]'")
    return found


@contextlib.contextmanager
def running(server: S3Server, command: list[str], **environ: str) -> Iterator[S3Server]:
    """The server, up, until the block ends."""
    with server.log.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environ})
    try:
        server.wait(process)
        yield server
    finally:
        process.kill()
        process.wait()


def run_moto(directory: Path) -> contextlib.AbstractContextManager[S3Server]:
    """A moto server with its log in ``directory``; its large objects are files without a name."""
    port = free_port()
    server = S3Server("moto", f"http://127.0.0.1:{port}", True, directory / "moto.log")
    command = [sys.executable, str(AWS_SERVER), "-H", "127.0.0.1", "-p", str(port)]
    return running(server, command, TMPDIR=ON_DISK, MOTO_S3_DEFAULT_KEY_BUFFER_SIZE=str(_SMALL))


def run_rclone(directory: Path, objects: Path | None = None) -> contextlib.AbstractContextManager[S3Server]:
    """An rclone server that keeps its objects below ``directory``, or serves those of another as they are now."""
    port = free_port()
    server = S3Server("rclone", f"http://127.0.0.1:{port}", False, directory / "rclone.log")
    if objects is None:
        objects = directory / "objects"
        objects.mkdir()
    command = [executable("rclone"), "serve", "s3", "--config", os.devnull]
    command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--addr", f"127.0.0.1:{port}"]
    return running(server, [*command, str(objects)])


@pytest.fixture(scope="package")
def moto_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A moto S3 server."""
    with run_moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="package")
def rclone_s3() -> Iterator[S3Server]:
    """An rclone S3 server."""
    with (
        tempfile.TemporaryDirectory(prefix="rclone-", dir=ON_DISK) as folder,
        run_rclone(Path(folder)) as server,
    ):
        yield server
