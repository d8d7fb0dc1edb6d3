"""The code package: the sources in a flow file's directory and below, zipped, stored under their SHA-256.

The same sources give the same bytes on every machine: names are sorted, all entries have the same time and
mode, and nothing is compressed (zlib's output differs between its versions).
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import shutil
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from airflow_conda_flow.errors import CorruptData, DatastoreError, NotInDatastore

from . import layout
from .digest import corrupt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .storage import Storage

# The package is built in memory, and every container downloads and extracts it. Far fewer bytes are source
# code; more are data, or the flow file is in the wrong directory.
MAX_BYTES = 100 * 1024 * 1024
MAX_FILES = 20_000
# Entries that are looked at, packed or not. A flow file in a home directory fails here instead of making the
# user wait for a walk over everything.
MAX_ENTRIES = 300_000

# Directories of generated or installed files, which are no sources of the flow.
_SKIPPED_NAMES = {"__pycache__", "site-packages", "node_modules"}
# A directory that holds one of these is a virtual environment, a conda prefix or a tagged cache.
_SKIPPED_IF_HOLDING = {"pyvenv.cfg", "conda-meta", "CACHEDIR.TAG"}
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)  # the earliest time that zip files can state
_MODE = 0o100644  # a regular file, rw-r--r--


@dataclass(frozen=True)
class CodePackage:
    """A zip of sources.

    Attributes:
        sha256: of ``data``, in hex.
        data: the bytes of the zip.
        flow_file: the flow file's path in it.
    """

    sha256: str
    data: bytes = field(repr=False)
    flow_file: str


def build(
    flow_file: str | Path, exclude: Iterable[str | Path] = (), suffixes: Iterable[str] = ()
) -> CodePackage:
    """Code package of a flow file: every ``.py`` file in its directory and below.

    Left out are hidden directories, ``__pycache__``, ``site-packages``, ``node_modules``, virtual
    environments, conda prefixes, tagged caches, and the directories in ``exclude``. Files whose names end in
    one of ``suffixes``, such as ``.sql``, are included too.

    Raises:
        DatastoreError: a file cannot be read, or the package exceeds ``MAX_BYTES``, ``MAX_FILES`` or
            ``MAX_ENTRIES``.
    """
    flow_path = Path(flow_file).absolute()
    excluded = {os.path.realpath(path) for path in exclude}
    sources = {flow_path.name: str(flow_path)}
    tree = _Tree(str(flow_path.parent), excluded, (".py", *suffixes))
    sources.update(tree.sources())
    data = _zip(sources, tree)
    return CodePackage(hashlib.sha256(data).hexdigest(), data, flow_path.name)


class _Tree:
    """A walk over the sources below ``root`` that fails, with an explanation, if there are too many."""

    def __init__(self, root: str, excluded: set[str], suffixes: tuple[str, ...]) -> None:
        self.root = root
        self._suffixes = suffixes
        self._excluded = excluded
        self._seen = 0
        self.files: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def sources(self) -> Iterator[tuple[str, str]]:
        """Pairs (name in the package, path) of all sources."""
        yield from self._below(self.root, "", (os.path.realpath(self.root),))

    def _below(self, folder: str, name: str, above: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except PermissionError:
            return  # the flow cannot import from a directory that its user cannot list
        self._seen += len(entries)
        # ``name`` is empty for the flow file's own directory, which is packed whatever it holds.
        if name and not _SKIPPED_IF_HOLDING.isdisjoint(entry.name for entry in entries):
            return
        for entry in entries:
            if entry.is_dir():
                real = os.path.realpath(entry.path) if entry.is_symlink() else ""
                real = real or f"{above[-1]}/{entry.name}"
                if self._is_wanted(entry.name, real, above):
                    yield from self._below(entry.path, f"{name}{entry.name}/", (*above, real))
            elif entry.name.endswith(self._suffixes) and entry.is_file():
                self._count(name, entry.stat().st_size)
                yield name + entry.name, entry.path

    def _is_wanted(self, name: str, real: str, above: tuple[str, ...]) -> bool:
        if name.startswith(".") or name in _SKIPPED_NAMES or real in self._excluded:
            return False
        return real not in above  # a symbolic link to a directory around it would make the walk endless

    def _count(self, name: str, size: int) -> None:
        top = name.split("/", 1)[0] + "/" if name else "./"
        self.files[top] += 1
        self.bytes[top] += size
        if self._seen > MAX_ENTRIES:
            raise self.too_large(f"more than {MAX_ENTRIES:,} files and directories")
        if self.files.total() > MAX_FILES:
            raise self.too_large(f"more than {MAX_FILES:,} {self._kinds} files")
        if self.bytes.total() > MAX_BYTES:
            raise self.too_large(f"more than {MAX_BYTES // 2**20} MB of {self._kinds} files")

    @property
    def _kinds(self) -> str:
        return ", ".join(self._suffixes)

    def too_large(self, what: str) -> DatastoreError:
        """Error that names the largest directories."""
        largest = ", ".join(
            f"{top} ({self.files[top]:,} files, {size / 2**20:.1f} MB)"
            for top, size in self.bytes.most_common(3)
        )
        return DatastoreError(
            f"The code package of {self.root} is too large: {what}. Such files beside the flow "
            f"file and below it go into every step. Largest so far: {largest}. Move the flow file "
            "into a directory of its own, or those directories out of it."
        )


def _zip(sources: dict[str, str], tree: _Tree) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(sources):
            try:
                with open(sources[name], "rb") as file:  # noqa: PTH123
                    data = file.read()
            except OSError as error:
                raise DatastoreError(
                    f"{sources[name]} cannot be read for the code package of {tree.root}: "
                    f"{error.strerror}. Make it readable, or move it away from the flow file."
                ) from error
            info = zipfile.ZipInfo(name, _TIMESTAMP)
            info.create_system = 3  # Unix, also where the package is built on another system
            info.external_attr = _MODE << 16
            archive.writestr(info, data)
    return buffer.getvalue()


def publish(storage: Storage, package: CodePackage) -> None:
    """Store the package, unless it is stored already."""
    key = layout.code_package(package.sha256)
    # The key is the digest, so every writer writes the same bytes. Another size means a damaged object.
    if storage.size(key) != len(package.data):
        storage.write_bytes(key, package.data)


def extract(storage: Storage, sha256: str, cache_dir: str | Path) -> Path:
    """Directory with the package's files, created by the first call on this machine.

    Raises:
        NotInDatastore: there is no such package.
        CorruptData: its bytes do not match, or a name in it leads out of the directory.
    """
    target = Path(cache_dir) / "code" / sha256
    if target.is_dir():
        return target
    key = layout.code_package(sha256)
    try:
        data = storage.read_bytes(key)
    except NotInDatastore as error:
        raise NotInDatastore(
            f"There is no code package {key} in the datastore {storage.url}: start the run again."
        ) from error
    got = hashlib.sha256(data).hexdigest()
    if got != sha256:
        raise corrupt(storage.url, key, expected=sha256, got=got)
    temporary = target.with_name(f".{sha256}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        _unpack(data, temporary, key)
        temporary.rename(target)
    except OSError:
        if not target.is_dir():
            raise  # if it is there, another process extracted the same package first
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _unpack(data: bytes, folder: Path, key: str) -> None:
    folder.mkdir(parents=True)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            name = PurePosixPath(info.filename)
            if name.is_absolute() or ".." in name.parts or "\\" in info.filename:
                raise CorruptData(f"{key} holds the unsafe name {info.filename!r}.")
            path = folder.joinpath(*name.parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(info))
