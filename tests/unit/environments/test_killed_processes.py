"""A process that is killed while it makes something leaves nothing for ever, wherever it was."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import signal
import time
import zipfile
from pathlib import Path

import pytest

from airflow_conda_flow.cli import tool
from airflow_conda_flow.cli.run import write_for_callers
from airflow_conda_flow.datastore import code_package, layout, left_behind
from airflow_conda_flow.datastore.artifacts import ArtifactStore
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.environments import temporary_folders
from airflow_conda_flow.environments.cache_dir import CacheDir
from airflow_conda_flow.environments.credentials import Credentials
from airflow_conda_flow.environments.lock_file import LockFile, write_lock_file
from airflow_conda_flow.environments.packages import PackageStore
from airflow_conda_flow.environments.prefixes import Prefixes
from airflow_conda_flow.environments.progress import Silence
from airflow_conda_flow.runner import runtime_root

from ...parts.held_places import PLACES, HeldPlaces

BESIDE_THE_FLOW = {"lock_file", "file_for_callers"}
BY_A_PRUNE_ALONE = {
    "copy_of_a_lock",
    "first_write",
    "lock",
    "manifest",
    "prune_of_a_directory",
    "prune_of_the_cache",
    "upload_to_a_directory",
}
"""A file beside the one that it was to become, which would cost a look into each folder; and what prunes leave."""


@pytest.fixture(scope="module")
def places():
    """A program that stands still where it is told."""
    program = HeldPlaces()
    yield program
    program.close()


def kill_in(place: str, folder: Path, places: HeldPlaces) -> None:
    """Kill a process in a place; something is left of it in the folder."""
    pid = places.held(place, folder)
    before = left(folder)
    assert before, "it makes something under a name that says who does"
    prune(folder)
    use(folder)
    assert left(folder) == before, "nothing goes while its maker lives"
    os.kill(pid, signal.SIGKILL)
    wait_until_dead(pid)
    forget()


def left(folder: Path) -> set[Path]:
    """Temporary files and folders in a folder or below it."""
    return {path for path in folder.rglob("*") if left_behind._MARK.search(path.name)}


def wait_until_dead(pid: int) -> None:
    deadline = time.monotonic() + 60
    while left_behind._start_of(pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def prune(folder: Path) -> None:
    """Both prunes, with nothing that is old."""
    where = ["--datastore-root", str(folder / "datastore")]
    assert tool.main(["cache", "prune", "--yes", "--cache-dir", str(folder / "cache"), *where]) in (0, 1)
    assert tool.main(["datastore", "prune", "--yes", *where]) in (0, 1)


def use(folder: Path) -> None:
    """Use the cache and the datastore as a run of another version, with another environment and other code."""
    cache, datastore = CacheDir(folder / "cache", None), LocalStorage(folder / "datastore")
    for storage in (datastore, S3Storage("s3://bucket/prefix", client=object())):
        ArtifactStore(storage, cache.path).scratch_dir().rmdir()
    another = secrets.token_hex(16)
    runtime_root._make(cache.path / "runtime" / another)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("another.py", another)
    sha256 = hashlib.sha256(file.getvalue()).hexdigest()
    datastore.write_bytes(layout.code_package(sha256), file.getvalue())
    code_package.extract(datastore, sha256, cache.path)
    packages = PackageStore(cache.local, None, Silence(), Credentials())
    prefixes = Prefixes(cache, packages, Silence(), compile_bytecode=False)
    prefixes.make(cache.path / "prefixes" / another, Path.mkdir)


def forget() -> None:
    """As if this process had just started."""
    left_behind.clear_once.cache_clear()
    temporary_folders.discard_left_once.cache_clear()


@pytest.fixture
def _alone(monkeypatch):
    for name in [each for each in os.environ if each.startswith("CONDA_FLOW_")]:
        monkeypatch.delenv(name)
    forget()


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("place", sorted({*PLACES} - BESIDE_THE_FLOW))
def test_a_prune_removes_what_was_being_made(tmp_path, places, place):
    """Of the cache, or of a datastore in a directory."""
    kill_in(place, tmp_path, places)
    prune(tmp_path)
    assert left(tmp_path) == set()


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("place", sorted({*PLACES} - BESIDE_THE_FLOW - BY_A_PRUNE_ALONE))
def test_the_next_use_removes_what_may_be_large(tmp_path, places, place):
    """Downloads, environments and scratch directories: whoever works there next."""
    kill_in(place, tmp_path, places)
    use(tmp_path)
    assert left(tmp_path) == set()


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("place", sorted(BESIDE_THE_FLOW))
def test_the_next_file_beside_a_flow_removes_it(tmp_path, places, place):
    """No prune looks there."""
    kill_in(place, tmp_path, places)
    write_for_callers("--run-id-file", str(tmp_path / "another"), "2")
    assert left(tmp_path) == set()
    kill_in(place, tmp_path, places)
    write_lock_file(LockFile(tmp_path / "flow.lock", (), "text"))
    assert left(tmp_path) == set()
