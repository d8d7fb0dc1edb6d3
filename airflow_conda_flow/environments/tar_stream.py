"""A folder as a tar stream, compressed with zstd: written by ``tarfile``, read by a reader in this module.

``tarfile`` needs 0.1 ms to read a file, which for the thousands of files of an environment takes longer than
everything else. This reader supports only what ``pack`` writes (GNU format: files, folders, links, long
names). It decompresses in a separate thread while files are written. It writes into folders that the archive
itself has made, never through a link, and never more than it is told.
"""

from __future__ import annotations

import errno
import os
import queue
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from airflow_conda_flow.errors import CorruptData

_LEVEL = 3  # zstd's default
# Bytes that are decompressed at a time. Together with ``_AHEAD``, the number of pieces that wait to be
# written, this limits the memory that a container needs for unpacking.
_PIECE = 256 * 1024
_AHEAD = 32
_LONGEST_NAME = 64 * 1024  # bytes of a name or a link's target; Linux allows 4096
_BLOCK = 512  # headers and contents are padded to this in a tar file
_MODES = 0o777  # permissions only: no setuid or setgid bit comes from an archive
_NO_SUCH_ENTRY = frozenset(
    {
        errno.EEXIST,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EPERM,
    }
)  # refusals of a name or a link that ``pack`` never writes; a full disk is not among them
_BINARY, _NEGATIVE = b"\x80", b"\xff"  # the first byte of a number that is not octal
_FILE, _LINK, _SYMLINK, _FOLDER, _LONG_LINK, _LONG_NAME = b"0", b"1", b"2", b"5", b"K", b"L"


def pack(folder: Path, file: BinaryIO, advance: Callable[[int], None] = lambda _more: None) -> None:
    """Write everything in a folder to ``file``, with times in whole seconds.

    ``advance`` is called with the number of further files; it may raise.

    Bytecode states its source's time in whole seconds, so it stays valid.
    """

    def prepared(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        advance(1)
        return _without_owner(entry)

    compressor = zstandard.ZstdCompressor(level=_LEVEL, threads=-1)
    with (
        compressor.stream_writer(file, closefd=False) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as archive,
    ):
        for entry in sorted(folder.iterdir()):
            archive.add(entry, entry.name, filter=prepared)


def unpack(
    file: BinaryIO, target: Path, most: int, advance: Callable[[int], None] = lambda _more: None
) -> None:
    """Unpack a stream, whose digest the caller has verified, into the new folder ``target``.

    Args:
        file: the stream.
        target: the folder.
        most: number of bytes that the stream may have when it is decompressed.
        advance: called with the number of further bytes that are read; it may raise.

    Raises:
        CorruptData: the stream is not what ``pack`` writes, or is larger.
    """
    target.mkdir(parents=True)
    try:
        with _Ahead(_decompressed(file, advance)) as blocks:
            _Unpacking(target).run(_Reader(blocks, most))
    except (zstandard.ZstdError, EOFError, OverflowError, ValueError) as error:
        raise CorruptData(f"The packed environment cannot be read: {error}.") from error
    except OSError as error:
        if error.errno not in _NO_SUCH_ENTRY:
            raise
        raise CorruptData(f"The packed environment cannot be read: {error}.") from error


def _without_owner(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = int(entry.mtime)
    return entry


def _decompressed(file: BinaryIO, advance: Callable[[int], None]) -> Iterator[bytes]:
    stream = zstandard.ZstdDecompressor().stream_reader(file, closefd=False)
    read = 0
    while data := stream.read(_PIECE):
        advance(file.tell() - read)
        read = file.tell()
        yield data


class _Ahead:
    """Iterator that runs in a separate thread, a few blocks ahead of its consumer."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(_AHEAD)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._produce, name="unpack", daemon=True)

    def __enter__(self) -> Iterator[bytes]:
        self._thread.start()
        return self._consume()

    def __exit__(self, *_exception: object) -> None:
        self._stopped.set()
        # The thread may be blocked because the queue is full: empty it until the thread notices the event.
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                continue

    def _produce(self) -> None:
        try:
            for block in self._blocks:
                self._queue.put(block)
                if self._stopped.is_set():
                    return
            self._queue.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again where the blocks are used
            self._queue.put(error)

    def _consume(self) -> Iterator[bytes]:
        while (block := self._queue.get()) is not None:
            if isinstance(block, BaseException):
                raise block
            yield block


class _Reader:
    """Reader of exact numbers of bytes from a stream of blocks of any size, ``most`` bytes in all."""

    def __init__(self, blocks: Iterator[bytes], most: int) -> None:
        self._blocks = _bounded(blocks, most)
        self._view = memoryview(b"")

    def pieces(self, size: int) -> Iterator[memoryview]:
        """``size`` bytes, in as many pieces as the blocks that hold them."""
        while size:
            if not self._view:
                block = next(self._blocks, None)
                if block is None:
                    raise EOFError("it ends too early")
                self._view = memoryview(block)
            piece = self._view[:size]
            self._view = self._view[len(piece) :]
            size -= len(piece)
            yield piece

    def take(self, size: int) -> bytes:
        """``size`` bytes in one piece."""
        if len(self._view) >= size:
            piece, self._view = self._view[:size], self._view[size:]
            return bytes(piece)
        return b"".join(self.pieces(size))

    def skip_rest(self) -> None:
        """Read to the end: a stream that breaks off or is too large is noticed there."""
        for _ in self._blocks:
            pass


def _bounded(blocks: Iterator[bytes], most: int) -> Iterator[bytes]:
    came = 0
    for block in blocks:
        came += len(block)
        if came > most:
            raise ValueError(f"it is larger than {most:,} bytes when it is unpacked")
        yield block


class _Unpacking:
    """Writer of a tar stream's entries into a folder."""

    def __init__(self, target: Path) -> None:
        self._target = os.fsencode(target)
        # Paths that the archive has made. ``pack`` writes a folder before its contents, and a file before
        # other links to it, so any other path is an attempt to reach something outside the archive.
        self._folders = {b""}
        self._files: set[bytes] = set()
        self._name = b""
        self._link = b""

    def run(self, reader: _Reader) -> None:
        # Offsets and kinds: https://www.gnu.org/software/tar/manual/html_node/Standard.html. Two blocks of
        # zeros end the archive. A long name or link comes as an entry before the one that it belongs to.
        while (header := reader.take(_BLOCK))[0]:
            size = _number(header[124:136])
            if size < 0:
                raise ValueError("an entry of a negative size")
            kind = header[156:157]
            if kind in {_LONG_NAME, _LONG_LINK}:
                if size > _LONGEST_NAME:
                    raise ValueError(f"a name of {size:,} bytes")
                text = reader.take(size).rstrip(b"\0")
                reader.take(-size % _BLOCK)
                if kind == _LONG_NAME:
                    self._name = text
                else:
                    self._link = text
                continue
            name = self._name or header[:100].rstrip(b"\0")
            link = self._link or header[157:257].rstrip(b"\0")
            self._name = self._link = b""
            if kind == _FILE:
                self._write(name, header, reader.pieces(size))
            else:
                self._make(kind, name, link, header)
            reader.take(-size % _BLOCK)
        reader.skip_rest()

    def _write(self, name: bytes, header: bytes, pieces: Iterator[memoryview]) -> None:
        time = _number(header[136:148])
        path = self._new(name, self._files)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _mode(header))
        try:
            for piece in pieces:
                _write_all(descriptor, piece)
            os.utime(descriptor, (time, time))
        finally:
            os.close(descriptor)

    def _make(self, kind: bytes, name: bytes, link: bytes, header: bytes) -> None:
        if kind == _FOLDER:
            path = self._new(name.rstrip(b"/"), self._folders)
            os.mkdir(path, _mode(header) | 0o700)  # noqa: PTH102 - names are bytes
        elif kind == _SYMLINK:
            os.symlink(link, self._new(name, set()))  # noqa: PTH211 - names are bytes
        elif kind == _LINK:
            if link not in self._files:
                raise ValueError(f"a link to {link!r}, which is not a file of it")
            os.link(self._target + b"/" + link, self._new(name, self._files))
        else:
            raise ValueError(f"an entry of the unknown kind {kind!r}")

    def _new(self, name: bytes, kind: set[bytes]) -> bytes:
        """Path of a new entry, whose name is added to ``kind``; its folder must be the archive's."""
        folder, _, last = name.rpartition(b"/")
        if last in {b"", b".", b".."} or folder not in self._folders or name.startswith(b"/"):
            raise ValueError(f"the unsafe name {name!r}")
        kind.add(name)
        return self._target + b"/" + name


def _mode(header: bytes) -> int:
    return _number(header[100:108]) & _MODES


def _number(field: bytes) -> int:
    """A number of a header: octal digits, or GNU's binary form where those do not suffice.

    That is for files of 8 GiB and more, and for times before 1970.
    """
    if field[:1] in {_BINARY, _NEGATIVE}:
        return int.from_bytes(field[1:], "big") - (256 ** (len(field) - 1) if field[:1] == _NEGATIVE else 0)
    return int(field.rstrip(b"\0 "), 8)


def _write_all(descriptor: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]
