"""Folders that threads of py-rattler still write to when nobody waits for them any more."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.environments import temporary_folders
from airflow_conda_flow.environments.cache_dir import CacheDir
from airflow_conda_flow.environments.cache_places import extracted
from airflow_conda_flow.environments.credentials import Credentials
from airflow_conda_flow.environments.packages import PackageStore
from airflow_conda_flow.environments.prefixes import Prefixes
from airflow_conda_flow.environments.progress import Silence
from airflow_conda_flow.environments.temporary_folders import discard_unfinished
from airflow_conda_flow.errors import EnvironmentFailure

MANY = 100  # files of a package


class _Extraction:
    """A thread that extracts a package as py-rattler does: it makes folders that are missing for each file."""

    def __init__(self, cache_dir, pause: float, folder=None) -> None:
        self.folder = (folder or extracted(cache_dir)) / ".numpy-1.26.4-py311_0xidab0"
        self.archive = cache_dir / "packages" / "a1" / "numpy-1.26.4-py311_0.conda"
        self.archive.parent.mkdir(parents=True)
        self.archive.write_bytes(b"archive")
        self.pause = pause
        self.written = 0
        self.begun, self.failed = threading.Event(), False
        self.thread = threading.Thread(target=self._extract)

    def _extract(self) -> None:
        with self.archive.open("rb"):
            try:
                for number in range(MANY):
                    (self.folder / "lib").mkdir(parents=True, exist_ok=True)
                    (self.folder / "lib" / f"file{number}").write_bytes(b"x")
                    self.written += 1
                    self.begun.set()
                    time.sleep(self.pause)
            except OSError:
                self.failed = True


@pytest.fixture(params=[0.001, 0.05, 0.4], ids=["fast", "slow", "large files"])
def extraction(request, tmp_path):
    """An extraction that has begun."""
    extraction = _Extraction(tmp_path, request.param)
    extraction.thread.start()
    assert extraction.begun.wait(60)
    yield extraction
    extraction.thread.join()


def test_what_is_still_being_extracted_is_ended_and_removed(extraction):
    """However long a file takes, the thread ends, and nothing of the package appears afterwards."""
    discard_unfinished(extraction.archive.parents[2])
    assert not extraction.folder.exists()
    extraction.thread.join()
    assert extraction.failed
    assert extraction.written < MANY
    assert not list(extraction.folder.parent.iterdir())


def test_an_extraction_that_begins_meanwhile_is_ended_too(tmp_path):
    """A thread that has opened its archive, and has made no folder yet."""
    extraction = _Extraction(tmp_path, 0.01)
    extraction.folder.parent.mkdir(parents=True)
    with extraction.archive.open("rb"):
        ending = threading.Thread(target=discard_unfinished, args=(tmp_path,))
        ending.start()
        extraction.thread.start()
        assert extraction.begun.wait(60)
        extraction.thread.join()
    ending.join()
    assert extraction.failed
    assert not list(extraction.folder.parent.iterdir())


@pytest.mark.parametrize("extraction", [0.01], indirect=True)
def test_a_file_that_is_never_done_does_not_hold_the_end(extraction, monkeypatch, tmp_path):
    """After a while nobody waits for it; the same where nobody can tell which files are open."""
    monkeypatch.setattr(temporary_folders, "_LAST_FILE_SECONDS", 0.0)
    discard_unfinished(extraction.archive.parents[2])
    monkeypatch.setattr(temporary_folders, "_DESCRIPTORS", tmp_path / "none")
    extraction.thread.join()
    discard_unfinished(extraction.archive.parents[2])
    assert not list(extraction.folder.parent.iterdir())


@pytest.fixture
def prefixes(tmp_path):
    """The prefixes of a cache directory."""
    packages = PackageStore(LocalStorage(tmp_path), None, Silence(), Credentials())
    return Prefixes(CacheDir(tmp_path, None), packages, Silence(), compile_bytecode=False)


@pytest.fixture
def begin_extraction(tmp_path):
    """A function: a package is being extracted, in the shared directory or another."""
    begun = []

    def begin(folder=None) -> None:
        begun.append(_Extraction(tmp_path, 0.05, folder))
        begun[0].thread.start()
        assert begun[0].begun.wait(60)

    yield begin
    begun[0].thread.join()
    assert begun[0].failed


def test_an_environment_that_cannot_be_made_leaves_nothing(tmp_path, prefixes, begin_extraction):
    """On a full disk one package fails, and the others are still being extracted."""

    def build(folder) -> None:
        folder.mkdir()
        begin_extraction()
        raise EnvironmentFailure("no room")

    with pytest.raises(EnvironmentFailure):
        prefixes.make(tmp_path / "prefixes" / "a", build)
    assert not list(extracted(tmp_path).iterdir())
    assert not [each for each in (tmp_path / "prefixes").iterdir() if each.is_dir()]


@pytest.mark.parametrize("error", [KeyboardInterrupt, EnvironmentFailure])
def test_an_interrupted_comparison_leaves_nothing(tmp_path, monkeypatch, prefixes, begin_extraction, error):
    """Ctrl-C or a full disk while a package is extracted again, to be compared with the environment."""
    lock = SimpleNamespace(digest="a" * 64)
    prefixes.path(lock).mkdir(parents=True)

    def install(_lock, _folder, _prefix, *, extracted_in):
        begin_extraction(extracted_in)
        raise error

    monkeypatch.setattr(prefixes, "install", install)
    with pytest.raises(error):
        prefixes.verify(lock)
    assert not list((tmp_path / "verifying").iterdir())
