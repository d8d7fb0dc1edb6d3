"""The code package: the sources in a flow file's directory and below, zipped, stored under their SHA-256.

The same sources give the same bytes on every machine: names are sorted, all entries have the same time and
mode, and nothing is compressed (zlib's output differs between its versions).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import tokenize
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from importlib.util import decode_source
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING

from airflow_conda_flow.errors import CorruptData, DatastoreError, NotAsPrepared, NotInDatastore
from airflow_conda_flow.records.lock_file import lock_file_of

from . import layout
from .atomic_file import new_file_beside, replace, write_all
from .digest import corrupt
from .keeping import keeper
from .left_behind import clear_once, new_mark
from .local_storage import LocalStorage
from .notice import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

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
_COMPILED = (".so", ".pyd", ".dylib")
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)  # the earliest time that zip files can state
_AGAIN = "Start the run again with the same sources: it replaces the damaged bytes."
_ENCRYPTED = 1  # in the flags of an entry
# Limit on the bytes of all files of a package; they are counted when it is built, and may grow meanwhile.
_MOST_BYTES = 2 * MAX_BYTES
_MODE = 0o100644  # a regular file, rw-r--r--


@dataclass(frozen=True)
class CodePackage:
    """A zip of sources.

    Attributes:
        sha256: of ``data``, in hex.
        data: the bytes of the zip.
        flow_file: the flow file's path in it.
        compiled: names of compiled modules among the sources, which are left out.
    """

    sha256: str
    data: bytes = field(repr=False)
    flow_file: str
    compiled: tuple[str, ...] = ()


def build(
    flow_file: str | Path,
    exclude: Iterable[str | Path] = (),
    suffixes: Iterable[str] = (),
    read: Mapping[str, str] = MappingProxyType({}),
    root: str | Path | None = None,
    modules: Mapping[str, Path] = MappingProxyType({}),
) -> CodePackage:
    """Code package of a flow file: every ``.py`` file in its directory and below, and its lock file.

    Left out are hidden directories, ``__pycache__``, ``site-packages``, ``node_modules``, virtual
    environments, conda prefixes, tagged caches, and the directories in ``exclude``. Files whose names end in
    one of ``suffixes``, such as ``.sql``, are included too.

    Args:
        flow_file: the flow file.
        exclude: directories that are left out.
        suffixes: endings of further files.
        read: texts by absolute path, as this process has read them. They are packed also if the files hold
            other texts by now.
        root: directory above the flow file that its package is imported from, to be packed in place of the
            file's own. Of a directory of installed libraries, that package alone is packed.
        modules: file or directory of modules that are elsewhere, by name; they are packed under their names.

    Raises:
        DatastoreError: a file cannot be read or has a name that is not UTF-8, or the package exceeds
            ``MAX_BYTES``, ``MAX_FILES`` or ``MAX_ENTRIES``.
    """
    flow_path = Path(flow_file).absolute()
    folder = flow_path.parent if root is None else Path(root).absolute()
    name = flow_path.relative_to(folder).as_posix()
    excluded = {os.path.realpath(path) for path in exclude}
    sources = {name: str(flow_path)}
    lock_file = lock_file_of(str(flow_path))
    if os.path.isfile(lock_file):  # noqa: PTH113
        sources[lock_file_of(name)] = lock_file
    top = name.partition("/")[0] if "/" in name and "site-packages" in folder.parts else ""
    tree = _Tree(str(folder), excluded, (".py", *suffixes))
    sources.update(tree.sources(top))
    for module, path in modules.items():
        sources.update(tree.module(module, str(path)))
    data = _zip(sources, tree, read)
    return CodePackage(hashlib.sha256(data).hexdigest(), data, name, tuple(tree.compiled))


class _Tree:
    """A walk over the sources below ``root`` that fails, with an explanation, if there are too many."""

    def __init__(self, root: str, excluded: set[str], suffixes: tuple[str, ...]) -> None:
        self.root = root
        self._suffixes = suffixes
        self._excluded = excluded
        self._seen = 0
        self.files: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.compiled: list[str] = []

    def sources(self, top: str = "") -> Iterator[tuple[str, str]]:
        """Pairs (name in the package, path) of all sources; of those below the directory ``top`` if given."""
        folder = os.path.join(self.root, top) if top else self.root  # noqa: PTH118
        yield from self._below(folder, f"{top}/" if top else "", (os.path.realpath(folder),))

    def module(self, name: str, path: str) -> Iterator[tuple[str, str]]:
        """Pairs of a module that is elsewhere, by its file or directory."""
        if os.path.isfile(path):  # noqa: PTH113
            self._count("", os.stat(path).st_size)  # noqa: PTH116
            yield f"{name}.py", path
        else:
            yield from self._below(path, f"{name}/", (os.path.realpath(path),))

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
            elif entry.name.endswith(_COMPILED):
                self.compiled.append(name + entry.name)

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


def _zip(sources: dict[str, str], tree: _Tree, read: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(sources):
            _check_name(name, sources[name], tree.root)
            data = _source(sources[name], read.get(sources[name]), tree.root)
            info = zipfile.ZipInfo(name, _TIMESTAMP)
            info.create_system = 3  # Unix, also where the package is built on another system
            info.external_attr = _MODE << 16
            archive.writestr(info, data)
    return buffer.getvalue()


def _check_name(name: str, path: str, root: str) -> None:
    """Raise if a zip archive cannot have the name."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DatastoreError(
            f"{path} cannot be in the code package of {root}: its name is not UTF-8. Rename it, or move it "
            "away from the flow file."
        ) from error


def _source(path: str, text: str | None, root: str) -> bytes:
    """Bytes of a source: those of the file, unless it no longer holds the text that was read from it."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            data = file.read()
    except OSError as error:
        if text is None:
            raise DatastoreError(
                f"{path} cannot be read for the code package of {root}: "
                f"{error.strerror}. Make it readable, or move it away from the flow file."
            ) from error
        data = b""
    if text is None or _is_text(data, text):
        return data
    encoding, _ = tokenize.detect_encoding(io.BytesIO(text.encode()).readline)
    return text.encode(encoding)


def _is_text(data: bytes, text: str) -> bool:
    try:
        now = decode_source(data)
    except (SyntaxError, UnicodeDecodeError):  # half saved, or in an encoding that it does not state
        return False
    # ``linecache`` ends the last line with a newline, also if the file does not.
    return text in (now, f"{now}\n")


def publish(storage: Storage, package: CodePackage) -> None:
    """Store the package, unless it is stored already; the stored bytes are read, and replaced if damaged."""
    key = layout.code_package(package.sha256)

    def store() -> None:
        storage.write_bytes(key, package.data)

    if not (storage.holds(key, package.sha256) and keeper(storage).keep(key, store)):
        store()


def extract(storage: Storage, sha256: str, cache_dir: str | Path, say: Callable[[str], None] = warn) -> Path:
    """Directory with the package's files, created by the first call on this machine.

    Every call compares the files with the package, unless this process has done so and no file has changed
    since. Files that differ are replaced one by one, because steps may be running in the directory. Files
    that the package does not have, such as bytecode, are left alone.

    Args:
        storage: the datastore's.
        sha256: the package's digest, in hex.
        cache_dir: directory for extracted packages.
        say: called with a line if something in the cache is damaged and put right.

    Raises:
        NotInDatastore: there is no such package.
        NotAsPrepared: its bytes do not match the digest.
        CorruptData: it is not what ``build`` makes: no zip, too large, or a name in it leads out of the
            directory.
    """
    key = layout.code_package(sha256)
    target = Path(cache_dir) / "code" / sha256
    if (known := _compared.get(target)) is not None and _states(target, known[0]) == known[1]:
        return target
    clear_once(target.parent)
    with _opened(_archive(storage, key, sha256, cache_dir, say), key) as archive:
        names = _safe_names(archive, key)
        if target.is_dir():
            _mend(archive, names, target, say)
            return target
        temporary = _temporary(target)
        try:
            temporary.mkdir(parents=True)
            for name in names:
                path = temporary / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
            if target.is_file():
                target.unlink()
            temporary.rename(target)
        except OSError:
            if not target.is_dir():
                raise  # if it is there, another process extracted the same package first
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return target


def _archive(
    storage: Storage, key: str, sha256: str, cache_dir: str | Path, say: Callable[[str], None]
) -> Path:
    """Verified file of the package: the stored one of a local datastore, or a copy in the cache."""
    try:
        if (stored := storage.local_path(key)) is not None:
            if not storage.holds(key, sha256):
                got = hashlib.sha256(storage.read_bytes(key)).hexdigest()
                raise corrupt(storage.url, key, expected=sha256, got=got, advice=_AGAIN)
            return stored
        cache = LocalStorage(cache_dir, "cache_dir")
        copy = cache.local_path(key)
        if not cache.holds(key, sha256):
            if copy.exists():
                say(f"{copy} is damaged; fetching it again from {storage.url}.")
            cache.copy_in(storage, key, sha256)
    except NotInDatastore as error:
        raise NotInDatastore(
            f"There is no code package {key} in the datastore {storage.url}: start the run again."
        ) from error
    except CorruptData as error:
        raise NotAsPrepared(f"{error.fault} It is not what the run was prepared with.", _AGAIN) from error
    return copy


@contextlib.contextmanager
def _opened(path: Path, key: str) -> Iterator[zipfile.ZipFile]:
    """The package as a zip; a verified one that cannot be read was never a code package."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise CorruptData(f"{key} is not a code package: {error}.", _AGAIN) from error


def _safe_names(archive: zipfile.ZipFile, key: str) -> list[str]:
    """Names of the files; all of them can be written below one directory.

    Raises:
        CorruptData: ``build`` never makes such a package.
    """

    def refuse(fault: str) -> CorruptData:
        return CorruptData(f"{key} is not a code package: {fault}.", _AGAIN)

    members = [each for each in archive.infolist() if not each.filename.endswith("/")]
    if len(members) > MAX_FILES or sum(each.file_size for each in members) > _MOST_BYTES:
        raise refuse(f"it holds more than {MAX_FILES:,} files or {_MOST_BYTES // 2**20} MB")
    names = [each.filename for each in members]
    known = set(names)
    if len(known) < len(names):
        raise refuse(f"it holds the name {Counter(names).most_common(1)[0][0]!r} twice")
    for each in members:
        name = PurePosixPath(each.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in each.filename or str(name) != each.filename:
            raise refuse(f"it holds the unsafe name {each.filename!r}")
        if each.header_offset < 0:
            raise refuse(f"its directory has no place for {each.filename!r}")
        if not known.isdisjoint(map(str, name.parents)):
            raise refuse(f"{each.filename!r} is below one of its files")
        # Nothing is compressed, so no file can unpack to more than the package's own size.
        if each.compress_type != zipfile.ZIP_STORED or each.flag_bits & _ENCRYPTED:
            raise refuse(f"{each.filename!r} is compressed or encrypted")
    return names


# By directory: names of a package's files, and the states of the files when they were last found to be right.
_compared: dict[Path, tuple[list[str], list[tuple[int, ...]]]] = {}


def _mend(archive: zipfile.ZipFile, names: list[str], folder: Path, say: Callable[[str], None]) -> None:
    """Replace the files that differ from the package's, and forget the bytecode that was made of them."""
    states = _states(folder, names)
    if wrong := [name for name in names if _content(folder / name) != archive.read(name)]:
        few = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")  # noqa: PLR2004
        say(f"The code package in {folder} is damaged; replacing {few}.")
        for name in wrong:
            _replace(archive, name, folder)
            shutil.rmtree((folder / name).with_name("__pycache__"), ignore_errors=True)
    # States from before the files were read: one that changed meanwhile is compared again.
    if states is not None and not wrong:
        _compared[folder] = (names, states)


def _states(folder: Path, names: list[str]) -> list[tuple[int, ...]] | None:
    """State of each file, as ``digest.py`` knows files; None if one is missing."""
    try:
        stats = [os.stat(f"{folder}/{name}") for name in names]  # noqa: PTH116  thousands of files
    except OSError:
        return None
    return [(each.st_ino, each.st_mtime_ns, each.st_ctime_ns, each.st_size) for each in stats]


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:  # missing, a directory, or below a file
        return None


def _replace(archive: zipfile.ZipFile, name: str, folder: Path) -> None:
    """Write one file of the package atomically, whatever is at its path or in the way to it.

    The temporary file is beside the folder, where others find it if this process is killed.
    """
    path = folder / name
    for parent in path.parents[: len(PurePosixPath(name).parts) - 1]:
        if parent.is_file():
            parent.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file_beside(folder) as (temporary, fd):
        write_all(fd, archive.read(name))
        replace(temporary, path)


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{new_mark()}")
