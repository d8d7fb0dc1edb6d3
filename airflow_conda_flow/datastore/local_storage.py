"""Storage in a directory of this machine, or on a file system that machines share.

Writes go to a temporary file in the key's directory and appear by a rename or a hard link.
Small writes (manifests, locks) are flushed to disk before they appear: after a power cut a manifest must not
be an empty file. Artifacts are not flushed, because they are verified whenever they are read.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_conda_flow.errors import CondaFlowError, DatastoreUnavailable, NotInDatastore

from .atomic_file import link_once, move_aside, new_file_beside, replace, write_all
from .digest import corrupt, known_sha256, moved, remember, too_large
from .left_behind import OTHERS_AFTER, clear, clear_once, new_mark
from .overlapping import overlapped
from .storage import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .storage import Progress, Storage

_BLOCK = 4 * 1024 * 1024  # bytes copied at a time: bounds the memory, and the steps of a progress bar
_NO_SUCH_KEY = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})
"""Errors for a key that nothing is stored under. A name that is too long for a file is the name of none."""
SCRATCH = ".scratch"
"""Name of the folder for scratch directories and unfinished downloads."""
_READ_ONLY = 0o444  # ``fetch`` hands out the stored file itself, which nobody may change


class LocalStorage:
    """Storage whose keys are paths below ``root``; the first write creates the directory.

    Args:
        root: the directory.
        setting: name of the setting that names it, for messages: ``datastore_root`` or ``cache_dir``.
    """

    kind = "local"
    spares_refreshed = True

    def __init__(self, root: Path | str, setting: str = "datastore_root") -> None:
        self.root = Path(os.path.abspath(Path(root).expanduser()))  # noqa: PTH100  symlinks stay
        self._base = f"{self.root}/"
        self.setting = setting
        # A hard link never overwrites. A file system without hard links is noticed by the first write.
        self.keeps_first_write = True

    def __repr__(self) -> str:
        return f"LocalStorage({str(self.root)!r})"

    @property
    def url(self) -> str:
        """Root directory."""
        return str(self.root)

    def _path(self, key: str) -> str:
        return self._base + key

    def local_path(self, key: str) -> Path:
        """File of ``key``, whether it exists or not."""
        return Path(self._path(key))

    def read_bytes(self, key: str, most: float = math.inf) -> bytes:
        """Bytes under ``key``; ``NotInDatastore`` if there is no such key."""
        return self.read_with_age(key, most)[0]

    def read_with_age(self, key: str, most: float = math.inf) -> tuple[bytes, float]:
        """Bytes under ``key``, and the seconds since they were written."""
        with _reading(self, key), open(self._path(key), "rb", buffering=0) as file:  # noqa: PTH123
            status = os.fstat(file.fileno())
            if status.st_size > most:
                raise too_large(self.url, key, status.st_size, most)
            return file.read(), time.time() - status.st_mtime

    def write_bytes(self, key: str, data: bytes) -> None:
        """Store ``data`` under ``key``; earlier bytes are replaced."""
        with self._new_file(key) as (temporary, fd):
            write_all(fd, data)
            os.fsync(fd)
            replace(temporary, self._path(key))

    def write_if_absent(self, key: str, data: bytes) -> bool:
        """Store ``data`` under ``key`` unless the key exists; True if it was stored."""
        if self.exists(key):  # saves writing and flushing a file that would not be used
            return False
        with self._new_file(key) as (temporary, fd):
            write_all(fd, data)
            os.fsync(fd)
            return self._appear(temporary, self._path(key))

    def _appear(self, path: Path | str, target: str) -> bool:
        """Make ``target`` the file ``path``; False if ``target`` existed.

        Without hard links two callers at once may both get True, and the last one's file remains.
        """
        linked = link_once(path, target)
        if linked is False and os.path.isdir(target):  # noqa: PTH112  never ours: keys are files
            move_aside(target)
            linked = link_once(path, target)
        if linked is not None:
            return linked
        self.keeps_first_write = False
        if os.path.isfile(target):  # noqa: PTH113
            return False
        replace(path, target)
        return True

    def first_write_wins(self, key: str, data: bytes) -> bool:  # noqa: ARG002
        """True if the file system has hard links."""
        return self.keeps_first_write

    def upload(self, path: Path, key: str, progress: Progress | None = None) -> None:
        """Store a copy of the file under ``key``."""
        with path.open("rb", buffering=0) as source, self._new_file(key) as (temporary, fd):
            _copy(source.fileno(), fd, None, progress)
            replace(temporary, self._path(key))

    def holds(self, key: str, sha256: str) -> bool:
        """True if the bytes under ``key`` have that SHA-256; a file in a known state is not read again."""
        try:
            return known_sha256(self.local_path(key)) == sha256
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno == errno.EIO:  # the disk cannot read them any more
                return False
            raise self.unavailable("read", key, error) from error

    def move_in(self, path: Path, key: str, sha256: str) -> None:
        """Move the file to ``key`` and make it read-only; copies only from another file system.

        A key that holds bytes with that SHA-256 stays as it is: its inode and mtime do not change.
        """
        if not self.holds(key, sha256):
            target, before = self._path(key), os.stat(path)  # noqa: PTH116
            path.chmod(_READ_ONLY)  # before the file appears, so that nobody can open it for writing
            with _writing(self, key):
                try:
                    self._place(path, target, sha256)
                except FileNotFoundError:
                    os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
                    self._place(path, target, sha256)
                path.unlink(missing_ok=True)  # before ``moved``, because it changes the ctime once more
                moved(before, target)
        path.unlink(missing_ok=True)

    def _place(self, path: Path, target: str, sha256: str) -> None:
        key = target.removeprefix(self._base)
        try:
            # A target that exists is damaged, unless another process has just placed the same bytes.
            if not self._appear(path, target) and not self.holds(key, sha256):
                replace(path, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self.upload(path, key)
            os.chmod(target, _READ_ONLY)  # noqa: PTH101

    def download(
        self, key: str, path: Path, sha256: str | None = None, progress: Progress | None = None
    ) -> None:
        """Copy the bytes under ``key`` to the file ``path``; with ``sha256`` verified and read-only."""
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = None if sha256 is None else hashlib.sha256()
        with new_file_beside(path) as (temporary, fd):
            with _reading(self, key), open(self._path(key), "rb", buffering=0) as source:  # noqa: PTH123
                _copy(source.fileno(), fd, digest, progress)
            if digest is not None and digest.hexdigest() != sha256:
                raise corrupt(self.url, key, expected=str(sha256), got=digest.hexdigest())
            replace(temporary, path)
            if digest is not None:
                os.fchmod(fd, _READ_ONLY)
                remember(fd, digest.hexdigest())

    def copy_in(self, source: Storage, key: str, sha256: str, progress: Progress | None = None) -> None:
        """Download a key of another storage to the same key here, verified.

        Errors as for ``download``; also ``DatastoreUnavailable`` if it cannot be written here.
        """
        with self.scratch_file(os.path.basename(key)) as path:  # noqa: PTH119
            source.download(key, path, sha256, progress)
            self.move_in(path, key, sha256)

    @property
    def scratch(self) -> Path:
        """Folder for what is not finished; what dead processes have left there is removed."""
        folder = self.root / SCRATCH
        clear_once(folder)
        return folder

    @contextlib.contextmanager
    def scratch_file(self, name: str) -> Iterator[Path]:
        """New file on the file system of the keys; removed at the end, unless it was moved.

        Large files are made there and not beside their keys: whatever a process was making when it was
        killed, the next one finds it in this folder.
        """
        with contextlib.ExitStack() as stack:
            with _writing(self, SCRATCH):
                path, _ = stack.enter_context(new_file_beside(self.scratch / name))
            yield Path(path)

    def exists(self, key: str) -> bool:
        """True if there are bytes under ``key``."""
        return os.path.isfile(self._path(key))  # noqa: PTH113

    def size(self, key: str) -> int | None:
        """Number of bytes under ``key``, None if there is no such key."""
        try:
            return os.stat(self._path(key)).st_size  # noqa: PTH116
        except OSError as error:
            if error.errno in _NO_SUCH_KEY:
                return None
            raise self.unavailable("read", key, error) from error

    def list_keys(self, prefix: str) -> Iterator[str]:
        """All keys that start with ``prefix``, sorted folder by folder."""
        folder, _, start = prefix.rpartition("/")
        yield from self._walk(f"{folder}/" if folder else "", start)

    def _walk(self, folder: str, start: str) -> Iterator[str]:
        for name, is_folder in self._entries(folder):
            if not name.startswith(start):
                continue
            if is_folder:
                yield from self._walk(f"{folder}{name}/", "")
            else:
                yield folder + name

    def list_names(self, folder: str) -> list[str]:
        """Names directly in ``folder``, sorted; empty if it is missing."""
        return [name for name, _ in self._entries(folder)]

    def _entries(self, folder: str) -> list[tuple[str, bool]]:
        try:
            with os.scandir(self._path(folder)) as entries:
                return sorted((e.name, e.is_dir()) for e in entries if not e.name.startswith("."))
        except OSError as error:
            if error.errno in _NO_SUCH_KEY:
                return []
            raise self.unavailable("read", folder, error) from error

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Keys that start with ``prefix``, with sizes and ages, sorted folder by folder."""
        for key in self.list_keys(prefix):
            try:
                stat = os.stat(self._path(key))  # noqa: PTH116  hot path
            except FileNotFoundError:
                continue  # removed since it was listed
            yield Entry(key, stat.st_size, time.time() - stat.st_mtime)

    def refresh(self, key: str, older_than: float) -> bool | None:
        """Make a file new if it is older; its bytes stay. None if there is no such key."""
        path = self._path(key)
        try:
            if time.time() - os.stat(path).st_mtime <= older_than:  # noqa: PTH116  hot path
                return False
            os.utime(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError:  # another user's file, which only its owner may make new: put a copy there
            mode = os.stat(path).st_mode & 0o777  # noqa: PTH116
            self.upload(self.local_path(key), key)
            os.chmod(path, mode)  # noqa: PTH101
        except OSError as error:
            raise self.unavailable("write", key, error) from error
        return True

    def remove_old(self, prefix: str, older_than: float, wanted: Callable[[Entry], bool]) -> Iterator[Entry]:
        """Remove files that are older; empty folders are left to ``remove_empty_folders``.

        A file is renamed first. If somebody has refreshed it meanwhile, it is put back, so that whoever
        refreshes a key or finds it missing can rely on that.
        """
        chosen = (each for each in self.entries(prefix) if each.age > older_than and wanted(each))
        for entry, is_gone in overlapped(lambda each: self._remove_if_old(each.key, older_than), chosen):
            if is_gone:
                yield entry

    def _remove_if_old(self, key: str, older_than: float) -> bool:
        path = self._path(key)
        folder, name = os.path.split(path)
        aside = f"{folder}/.{name[:100]}.{new_mark()}.part"
        try:
            os.rename(path, aside)  # noqa: PTH104  hot path
        except FileNotFoundError:  # another prune was first
            return False
        except OSError as error:
            raise self.unavailable("remove", key, error) from error
        if time.time() - os.stat(aside).st_mtime > older_than:  # noqa: PTH116  hot path
            os.unlink(aside)  # noqa: PTH108  hot path
            return True
        if link_once(aside, path) is None and not self.exists(key):
            replace(aside, path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)  # noqa: PTH108  hot path
        return False

    def clear_left_behind(self, folder: str) -> None:
        """Remove what dead processes were writing in a folder or below it; it never appeared under a key."""
        for path, _, _ in os.walk(self._path(folder)):
            clear(path, OTHERS_AFTER)

    def remove_empty_folders(self, folder: str) -> None:
        """Remove a folder and those below it, as far as nothing is in them but what dead processes left."""
        levels: dict[int, list[str]] = {}
        for path, _, _ in os.walk(self._path(folder)):
            levels.setdefault(path.rstrip("/").count("/"), []).append(path)
        for level in sorted(levels, reverse=True):  # a folder goes after all that were in it
            for _ in overlapped(_remove_if_empty, levels[level]):
                pass

    def unavailable(self, verb: str, key: str, error: OSError) -> DatastoreUnavailable:
        """Error for a failure of the file system; ``verb`` is "read", "write" or "remove"."""
        kind = "cache" if self.setting == "cache_dir" else "datastore"
        advice = _advice(self.root, self.setting, error)
        return DatastoreUnavailable(f"The {kind} {self.url} cannot {verb} {key}: {error.strerror}. {advice}")

    @contextlib.contextmanager
    def _new_file(self, key: str) -> Iterator[tuple[str, int]]:
        with _writing(self, key), new_file_beside(self.local_path(key)) as opened:
            yield opened


def _remove_if_empty(folder: str) -> None:
    clear(folder)
    with contextlib.suppress(OSError):  # something is in it
        os.rmdir(folder)  # noqa: PTH106


def _copy(source: int, target: int, digest: hashlib._Hash | None, progress: Progress | None) -> None:
    while block := os.read(source, _BLOCK):
        if digest is not None:
            digest.update(block)
        write_all(target, block)
        if progress is not None:
            progress(len(block))


@contextlib.contextmanager
def _reading(storage: LocalStorage, key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {*_NO_SUCH_KEY, errno.EISDIR}:
            raise NotInDatastore(f"There is no {key} in the datastore {storage.url}.") from error
        raise storage.unavailable("read", key, error) from error


@contextlib.contextmanager
def _writing(storage: LocalStorage, key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, CondaFlowError):
            raise
        raise storage.unavailable("write", key, error) from error


def _advice(root: Path, setting: str, error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        free = shutil.disk_usage(root).free if root.exists() else 0
        return f"{free // 2**20} MB are free there: make room, or set {setting} to another disk."
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return f"Make the directory writable for this user, or set {setting} to another one."
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return "Raise the limit of open files (ulimit -n), or lower --max-workers."
    if error.errno == errno.ENAMETOOLONG:
        return (
            "Shorten the longest name in it, such as that of the flow, step or card: a file's has 255 bytes."
        )
    return f"Set {setting} to another directory if this one cannot be mended."
