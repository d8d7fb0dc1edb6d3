"""A program that stands still in each place where something is made for a while, so that a test can kill it there.

It reads lines with a place and a folder, forks a process for each, and prints the number of that process once it
stands still. Forked, because the imports would cost most of the time.
"""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_conda_flow.cli import run as run_command
from airflow_conda_flow.datastore import code_package, layout, local_storage, s3_storage
from airflow_conda_flow.datastore.artifacts import ArtifactStore
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.environments import (
    cache_prune,
    download,
    file_mutex,
    lock_file,
    packed,
    packing,
    seal,
)
from airflow_conda_flow.environments.cache_dir import CacheDir
from airflow_conda_flow.environments.credentials import Credentials
from airflow_conda_flow.environments.lock import Lock, LockedPackage
from airflow_conda_flow.environments.packages import PackageStore
from airflow_conda_flow.environments.prefixes import Prefixes
from airflow_conda_flow.environments.progress import Silence
from airflow_conda_flow.runner import runtime_root

if TYPE_CHECKING:
    from collections.abc import Callable

DIGEST = "ab" * 32
PACKAGE = LockedPackage(
    name="a", version="1", build="0", build_number=0, subdir="noarch", url="http://host/noarch/a-1-0.conda",
    sha256=DIGEST, size=0, channel="http://host", depends=(), noarch="generic", python_site_packages_path=None,
    stated=False,
)  # fmt: skip
LOCK = Lock("cd" * 32, "linux-64", (PACKAGE,))


def _stand_still(*_words: Any, **_keywords: Any) -> NoReturn:
    os.write(1, f"{os.getpid()}\n".encode())
    time.sleep(600)
    raise AssertionError("nobody killed it")


class _HalfDownload:
    def __init__(self, _client: Any, _name: Any, fd: int, *_more: Any) -> None:
        os.write(fd, b"half")

    run = staticmethod(_stand_still)


def _half_folder(*words: Any, **_keywords: Any) -> NoReturn:
    folder = next(each for each in words if isinstance(each, Path))
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(b"half")
    _stand_still()


def _half_file(_url: str, path: Path, *_more: Any) -> NoReturn:
    path.write_bytes(b"half")
    _stand_still()


class Places:
    """Each public method but ``root`` is a place; it never returns.

    Args:
        root: folder with the cache, a datastore and whatever else.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._cache = CacheDir(root / "cache", None)
        self._datastore = LocalStorage(root / "datastore")
        self._s3 = S3Storage("s3://bucket/prefix", client=object())

    def _packages(self, remote: S3Storage | None) -> PackageStore:
        return PackageStore(self._cache.local, remote, Silence(), Credentials())

    def _prefixes(self) -> Prefixes:
        return Prefixes(self._cache, self._packages(None), Silence(), compile_bytecode=False)

    def _in_s3(self) -> S3Storage:
        s3_storage.RangedDownload = _HalfDownload  # type: ignore[assignment,misc]
        return self._s3

    def artifact_from_s3(self) -> None:
        ArtifactStore(self._in_s3(), self._cache.path).fetch(DIGEST, 5)

    def package_from_s3(self) -> None:
        self._packages(self._in_s3()).fetch([PACKAGE])

    def code_package_from_s3(self) -> None:
        code_package.extract(self._in_s3(), DIGEST, self._cache.path)

    def packed_environment_from_s3(self) -> None:
        self._in_s3().size = lambda _key: None  # type: ignore[method-assign]
        found = packed.PackedEnvironment("/prefix", DIGEST, 4)
        self._prefixes().make(
            self._cache.path / "prefixes" / "aa",
            lambda folder: packed.unpack_into(self._s3, "linux-64", found, folder, Silence()),
        )

    def package_from_a_channel(self) -> None:
        download.download = _half_file
        self._packages(None).fetch([PACKAGE])

    def code_that_is_extracted(self) -> None:
        zipfile.ZipFile.read = _stand_still  # type: ignore[method-assign]
        self._extract()

    def code_that_is_mended(self) -> None:
        (self._cache.path / "code" / self._published_code()).mkdir(parents=True)
        code_package.replace = _stand_still
        self._extract()

    def _published_code(self) -> str:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("folder/module.py", "x = 1\n")
        sha256 = hashlib.sha256(file.getvalue()).hexdigest()
        self._datastore.write_bytes(layout.code_package(sha256), file.getvalue())
        return sha256

    def _extract(self) -> None:
        code_package.extract(self._datastore, self._published_code(), self._cache.path)

    def runtime(self) -> None:
        Path.rename = _stand_still  # type: ignore[method-assign]
        runtime_root.runtime_root(self._cache.path)

    def environment(self) -> None:
        self._prefixes().make(self._cache.path / "prefixes" / "aa", _half_folder)

    def seal(self) -> None:
        local_storage.replace = _stand_still
        self._prefixes().make(self._cache.path / "prefixes" / "aa", Path.mkdir)

    def environment_that_is_replaced(self) -> None:
        prefix = self._cache.path / "prefixes" / "aa"
        prefix.mkdir(parents=True)
        prefixes = self._prefixes()
        (prefix / "file").write_bytes(b"of nobody")
        packing.Prefixes.make.__globals__["put_aside"] = lambda path: (
            path.rename(packing.temporary(path)),
            _stand_still(),
        )
        prefixes.make(prefix, Path.mkdir)

    def environment_that_is_verified(self) -> None:
        prefixes = self._prefixes()
        prefixes.path(LOCK).mkdir(parents=True)
        prefixes.install = _half_folder  # type: ignore[method-assign]
        prefixes.verify(LOCK)

    def environment_that_is_packed(self) -> None:
        prefixes = self._prefixes()
        prefixes.install = _half_folder  # type: ignore[method-assign]
        packing.Packing._restore = lambda *_: None  # type: ignore[method-assign]
        packing.Packing(self._cache, self._s3, prefixes, Silence())._pack("step", LOCK, None)  # type: ignore[arg-type]

    def packed_archive(self) -> None:
        packed.pack = _stand_still
        folder = packing.temporary(self._cache.path / "packing" / "aa")
        folder.mkdir(parents=True)
        packed.publish_packed(self._s3, "linux-64", DIGEST, folder, Path("/prefix"), Silence())

    def scratch_directory(self) -> None:
        (ArtifactStore(self._s3, self._cache.path).scratch_dir() / "artifact").write_bytes(b"half")
        _stand_still()

    def scratch_directory_of_a_local_datastore(self) -> None:
        (ArtifactStore(self._datastore, self._cache.path).scratch_dir() / "artifact").write_bytes(b"half")
        _stand_still()

    def lock(self) -> None:
        local_storage.replace = _stand_still
        self._cache.local.write_bytes(layout.lock("linux-64", DIGEST), b"{}")

    def copy_of_a_lock(self) -> None:
        local_storage.replace = _stand_still
        self._cache.local.write_bytes(f"locks/0123/{layout.lock('linux-64', DIGEST)}", b"{}")

    def manifest(self) -> None:
        local_storage.replace = _stand_still
        self._datastore.write_bytes("flows/AFlow/1/run.json", b"{}")

    def first_write(self) -> None:
        local_storage.link_once = _stand_still
        self._datastore.write_if_absent(layout.lock("linux-64", DIGEST), b"{}")

    def upload_to_a_directory(self) -> None:
        (self._root / "file").write_bytes(b"x")
        local_storage._copy = _stand_still
        self._datastore.upload(self._root / "file", layout.artifact(DIGEST))

    def prune_of_a_directory(self) -> None:
        self._datastore.write_bytes(layout.artifact(DIGEST), b"x")
        real, path = os.rename, self._datastore.local_path(layout.artifact(DIGEST))
        os.utime(path, (0, 0))
        local_storage.os.rename = lambda *words: (real(*words), _stand_still())  # type: ignore[assignment]
        list(self._datastore.remove_old("artifacts/", 1.0, lambda _entry: True))

    def prune_of_the_cache(self) -> None:
        prefix = self._cache.path / "prefixes" / "aa"
        prefix.mkdir(parents=True)
        for path in (prefix, seal.seal_path(prefix)):
            path.touch()
            os.utime(path, (0, 0))
        cache_prune.discard = _stand_still
        cache_prune.prune_cache(self._cache.path, self._datastore, removes=True)

    def mutex_that_is_made(self) -> None:
        file_mutex.link_once = _stand_still
        (self._cache.path / "prefixes").mkdir(parents=True)
        with file_mutex.held_now(file_mutex.use_of(self._cache.path / "prefixes" / "aa")):
            pass

    def lock_file(self) -> None:
        Path.replace = _stand_still  # type: ignore[method-assign]
        lock_file.write_lock_file(lock_file.LockFile(self._root / "flow.lock", (), "text"))

    def file_for_callers(self) -> None:
        Path.replace = _stand_still  # type: ignore[method-assign]
        run_command.write_for_callers("--run-id-file", str(self._root / "id"), "1")


PLACES = sorted(name for name in vars(Places) if not name.startswith("_"))


def _serve() -> None:
    for line in sys.stdin:
        place, root = line.rstrip("\n").split("\t")
        if not os.fork():
            work: Callable[[], None] = getattr(Places(Path(root)), place)
            try:
                work()
            finally:
                os.write(1, b"0\n")
                os._exit(1)


class HeldPlaces:
    """Runs the program."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            start_new_session=True,
        )

    def held(self, place: str, root: Path) -> int:
        """Process that stands still in a place; the program tells on standard error if it does not."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{place}\t{root}\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        assert pid, f"{place} came to an end"
        return pid

    def close(self) -> None:
        """End it, and what it has started."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


if __name__ == "__main__":
    _serve()
