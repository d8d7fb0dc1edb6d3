"""A folder as a tar stream, compressed with zstd: written by ``tarfile``, read by a reader in this module.

``tarfile`` needs 0.1 ms to read a file, which for the thousands of files of an environment takes longer than
everything else. This reader supports only what ``pack`` writes (GNU format: files, folders, links, long
names). It decompresses and hashes in a separate thread while files are written.
"""

from __future__ import annotations

import errno
import hashlib
import os
import queue
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from airflow_conda_flow.errors import CorruptData

_LEVEL = 3  # zstd's default
# Compressed bytes that are hashed and decompressed at a time. Together with ``_AHEAD``, the number of
# decompressed pieces that wait to be written, this limits the memory that a container needs for unpacking.
_PIECE = 256 * 1024
_AHEAD = 32
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


def pack(folder: Path, file: BinaryIO) -> None:
    """Write everything in a folder to ``file``, with times in whole seconds.

    Bytecode states its source's time in whole seconds, so it stays valid.
    """
    compressor = zstandard.ZstdCompressor(level=_LEVEL, threads=-1)
    with (
        compressor.stream_writer(file, closefd=False) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as archive,
    ):
        for entry in sorted(folder.iterdir()):
            archive.add(entry, entry.name, filter=_without_owner)


def unpack(chunks: Iterator[bytes], target: Path) -> str:
    """Unpack a stream into the new folder ``target``; returns the stream's sha256 in hex.

    The caller must compare the digest before anything in the folder is used.

    Raises:
        CorruptData: the stream is not what ``pack`` writes.
    """
    digest = hashlib.sha256()
    target.mkdir(parents=True)
    try:
        with _Ahead(_decompressed(chunks, digest)) as blocks:
            _Unpacking(target).run(_Reader(blocks))
    except (zstandard.ZstdError, EOFError, OverflowError, ValueError) as error:
        raise CorruptData(f"The packed environment cannot be read: {error}.") from error
    except OSError as error:
        if error.errno not in _NO_SUCH_ENTRY:
            raise
        raise CorruptData(f"The packed environment cannot be read: {error}.") from error
    return digest.hexdigest()


def _without_owner(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = int(entry.mtime)
    return entry


def _decompressed(chunks: Iterator[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    for chunk in chunks:
        view = memoryview(chunk)
        for start in range(0, len(view), _PIECE):
            piece = view[start : start + _PIECE]
            digest.update(piece)
            if data := decompressor.decompress(piece):
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
    """Reader of exact numbers of bytes from a stream of blocks of any size."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
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
        """Read to the end: the digest is that of the whole stream."""
        for _ in self._blocks:
            pass


class _Unpacking:
    """Writer of a tar stream's entries into a folder."""

    def __init__(self, target: Path) -> None:
        self._target = os.fsencode(target)
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
        descriptor = os.open(self._inside(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, _mode(header))
        try:
            for piece in pieces:
                _write_all(descriptor, piece)
            os.utime(descriptor, (time, time))
        finally:
            os.close(descriptor)

    def _make(self, kind: bytes, name: bytes, link: bytes, header: bytes) -> None:
        path = self._inside(name)
        if kind == _FOLDER:
            os.mkdir(path, _mode(header) | 0o700)  # noqa: PTH102 - names are bytes
        elif kind == _SYMLINK:
            os.symlink(link, path)  # noqa: PTH211 - names are bytes
        elif kind == _LINK:
            os.link(self._inside(link), path)
        else:
            raise ValueError(f"an entry of the unknown kind {kind!r}")

    def _inside(self, name: bytes) -> bytes:
        if name.startswith(b"/") or b".." in name.split(b"/"):
            raise ValueError(f"the unsafe name {name!r}")
        return self._target + b"/" + name.rstrip(b"/")


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
