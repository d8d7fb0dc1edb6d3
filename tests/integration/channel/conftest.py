"""Fixtures of the channel's tests: environments, made as a conda client makes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from airflow_conda_flow.channel.platform import SUBDIR

# In a process of its own that ends at once: rattler's threads may crash a process at its exit.
_INSTALL = """
import asyncio, os, sys, traceback
from rattler import Channel, Gateway, MatchSpec, install, solve

async def make(channel, prefix, cache, *specs):
    gateway = Gateway(cache_dir=cache)
    records = await solve(
        [Channel(channel)], [MatchSpec(spec) for spec in specs],
        gateway=gateway, platforms=[sys.argv[1], "noarch"],
    )
    await install(records, prefix, cache_dir=cache, show_progress=False)

code = 0
try:
    asyncio.run(make(*sys.argv[2:]))
except BaseException:
    traceback.print_exc()
    code = 1
sys.stderr.flush()
os._exit(code)
"""


class Prefix:
    """An environment made from a channel."""

    def __init__(self, path):
        self.path = path

    def run(self, program: str, *words: str) -> str:
        """The output of a program of the environment."""
        done = subprocess.run(
            [self.path / "bin" / program, *words],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PYTHONNOUSERSITE": "1"},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def python(self, code: str) -> str:
        """The output of Python code in the environment."""
        return self.run("python", "-c", code)


@pytest.fixture(scope="package")
def package_cache(tmp_path_factory):
    """Where all environments of a test run share their packages."""
    return tmp_path_factory.mktemp("packages")


@pytest.fixture
def make_prefix(tmp_path_factory, package_cache):
    """Makes an environment with these specs from a channel, in a directory of its own or in this one."""

    def make(channel: str, *specs: str, path: Path | None = None) -> Prefix:
        path = path or tmp_path_factory.mktemp("prefix")
        command = [sys.executable, "-c", _INSTALL, SUBDIR, channel, path, package_cache, *specs]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return Prefix(path)

    return make
