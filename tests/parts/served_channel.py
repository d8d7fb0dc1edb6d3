"""A conda channel behind a real HTTP server that a test can stop, and the cache that it comes from.

The channel is built once per request and machine, and kept between test runs in ``.cache``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_conda_flow.channel.build import build_channel
from airflow_conda_flow.channel.interpreters import find_interpreter
from airflow_conda_flow.channel.serve import make_server
from airflow_conda_flow.errors import SettingError

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "test-channel"

RUNNING = "{}.{}.{}".format(*sys.version_info[:3])
OTHER_PYTHONS = ("3.6", "3.8", "3.11", "3.13")
REQUIREMENTS = (
    "scikit-learn==1.5.2",
    "scikit-learn==1.4.2",
    "numpy==1.26.4",
    "pandas==2.2.3",
    "six==1.16.0",
    "six==1.17.0",
)


class ServedChannel:
    """A channel over HTTP.

    Attributes:
        directory: where its files are.
        url: where it is served; the same after ``stop`` and ``start``.
        pythons: minor version to full version of the interpreters in it.
        python: the version of the running interpreter, the one that the libraries are for.
    """

    def __init__(self, directory: Path, pythons: dict[str, str]) -> None:
        self.directory = directory
        self.pythons = pythons
        self.python = RUNNING
        self._port = 0
        self._server = None
        self.start()

    @property
    def url(self) -> str:
        """Such as ``http://127.0.0.1:41234``."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Serve, at the same address as before."""
        if self._server is None:
            self._server = make_server(self.directory, "127.0.0.1", self._port)
            self._port = self._server.server_port
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Refuse all connections, as a machine does that is not there."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def find_pythons() -> dict[str, str]:
    """The full versions, by minor version, of the interpreters that tests may use here."""
    versions = [RUNNING]
    for minor in OTHER_PYTHONS:
        try:
            versions.append(find_interpreter(minor).version)
        except SettingError:
            continue
    pythons: dict[str, str] = {}
    for version in versions:
        pythons.setdefault(".".join(version.split(".")[:2]), version)
    return pythons


def cached_channel(pythons: dict[str, str]) -> Path:
    """The directory of the tests' channel; the first process to ask builds it."""
    request = json.dumps([pythons, REQUIREMENTS, RUNNING, _builder_digest()])
    directory = CACHE / hashlib.sha256(request.encode()).hexdigest()[:16]
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "mutex").open("w") as mutex:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        if not directory.exists():
            unfinished = directory.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            others = [version for version in pythons.values() if version != RUNNING]
            build_channel(unfinished, [find_interpreter(v) for v in others], [], print)
            build_channel(unfinished, [find_interpreter(RUNNING)], REQUIREMENTS, print)
            unfinished.rename(directory)
    return directory


def _builder_digest() -> str:
    sources = sorted((ROOT / "airflow_conda_flow" / "channel").glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


@pytest.fixture(scope="package")
def channel() -> Iterator[ServedChannel]:
    """A conda channel over HTTP, with several Pythons and two versions of scikit-learn and six."""
    pythons = find_pythons()
    served = ServedChannel(cached_channel(pythons), pythons)
    yield served
    served.stop()


@pytest.fixture(autouse=True)
def _channel_runs_again(request) -> Iterator[None]:
    """A test that stopped the channel leaves it running for the next one."""
    yield
    if "channel" in request.fixturenames:
        request.getfixturevalue("channel").start()
