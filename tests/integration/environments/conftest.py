"""Environments of a machine of its own: a cache directory, the test channel, and small specs."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest

from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.lock import Lock
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.environments.spec import EnvironmentSpec


class Recorder:
    """A ``Progress`` that keeps what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.phases: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(text)

    @contextlib.contextmanager
    def phase(self, text: str, total: int, unit: str):
        self.phases.append(f"{text}: {total} {unit}")
        done = []
        yield done.append
        self.phases.append(f"{text}: done {sum(done)}")


@pytest.fixture
def make_environments(tmp_path):
    """A function: the environments of a machine by its name, each with a cache directory of its own."""

    def make(machine: str = "machine", **options) -> Environments:
        return Environments(tmp_path / machine, **options)

    return make


@pytest.fixture
def make_spec(channel):
    """A function: a spec of the test channel; by default the running Python and six."""

    def make(python: str | None = None, channels=None, platform=None, **libraries: str) -> EnvironmentSpec:
        return EnvironmentSpec(
            python or channel.python,
            libraries or {"six": "1.17.0"},
            channels or (channel.url,),
            platform or current_platform(),
        )

    return make


@pytest.fixture(params=["moto_s3", "rclone_s3"])
def make_s3_storage(request, monkeypatch):
    """A function: a new client of one root in a real S3 server; both servers in turn."""
    server = request.getfixturevalue(request.param)
    server.use(monkeypatch)
    root = server.make_root()
    return lambda: S3Storage(root)


@pytest.fixture
def recorder() -> Recorder:
    """A progress that remembers."""
    return Recorder()


def archive(cache_dir: Path, lock: Lock, name: str) -> Path:
    """Where the archive of a package of a lock is kept."""
    (package,) = (each for each in lock.packages if each.name == name)
    return cache_dir / "packages" / package.sha256 / package.file_name


def damage(path: Path) -> None:
    """Flip a byte in the middle; the size stays."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.chmod(0o644)
    path.write_bytes(bytes(data))


def truncate(path: Path) -> None:
    """Cut the file in half."""
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def run_python(prefix: Path, code: str, *flags: str, **environ: str) -> str:
    """The output of a program in the Python of a prefix."""
    done = subprocess.run(
        [str(prefix / "bin" / "python"), *flags, "-c", code],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", **environ},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def left(cache_dir) -> list[str]:
    """The files and folders of unfinished prefixes."""
    return [each.name for each in (cache_dir / "prefixes").iterdir() if not each.name.endswith(".mutex")]
