"""Bytes of an artifact: pickled to a file and hashed at the same time, and read back.

The file is a pickle. With protocol 5, large buffers follow it (https://peps.python.org/pep-0574/)::

    pickle stream | each buffer at a multiple of 64 bytes | JSON index | footer

    footer   offset and length of the index, 8 bytes each, little endian, and the magic
    index    {"buffers": [[offset, length, read-only], ...]}

Buffers are read through a private mapping of the file: an array is writable, is not copied, and is read
from disk only when it is used. Any pickle reader can read a file without buffers.
"""

import hashlib
import io
import json
import mmap
import pickle
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from airflow_conda_flow.records.shapes import ArtifactRef

_FOOTER = struct.Struct("<QQ8s")
_MAGIC = b"ACFBUF1\n"
_FIRST_WITH_BUFFERS = 5  # the pickle protocol that PEP 574 added
_ALIGNMENT = 64  # bytes; one cache line
_LEAST_BUFFER = 64 * 1024  # bytes; smaller buffers stay in the pickle stream
_CHUNK = 256 * 1024  # bytes; see _write_in_chunks
_READ_WHOLE = 1024 * 1024  # bytes; a larger pickle is not copied to memory as a whole
_PREVIEW = 80  # characters
_LONGEST_INT = 200  # bits; Python refuses to print much longer integers


def dump_to_file(value: "Any", path: str, protocol: int) -> "ArtifactRef":
    """Write a value's bytes to a new file and return its ``ArtifactRef``.

    Raises what pickle raises for a value that cannot be pickled; the file is then incomplete.
    """
    with open(path, "xb") as stream:
        sink = _Sink(stream)
        _dump(value, sink, protocol)
    return {
        "sha256": sink.digest.hexdigest(),
        "size": sink.size,
        "type": type_name(value),
        "protocol": protocol,
        "preview": _preview(value),
    }


def digest(value: "Any", protocol: int) -> str:
    """SHA-256 that ``dump_to_file`` would return, computed without writing a file."""
    sink = _Sink(None)
    _dump(value, sink, protocol)
    return sink.digest.hexdigest()


def load_from_file(path: str) -> "Any":
    """Value in a file that ``dump_to_file`` wrote."""
    with open(path, "rb") as stream:
        size = stream.seek(0, io.SEEK_END)
        footer = _read_footer(stream, size)
        stream.seek(0)
        if footer is None:
            return pickle.loads(stream.read()) if size <= _READ_WHOLE else pickle.load(stream)
        mapping = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    view = memoryview(mapping)
    offset, length = footer
    index = json.loads(view[offset : offset + length].tobytes().decode("ascii"))
    buffers = [
        view[start : start + count].toreadonly() if read_only else view[start : start + count]
        for start, count, read_only in index["buffers"]
    ]
    return pickle.loads(view[:offset], buffers=buffers)


def type_name(value: "Any") -> str:
    """Full name of a value's type, such as ``builtins.dict``."""
    return "%s.%s" % (type(value).__module__, type(value).__qualname__)


class _Sink:
    """Output that hashes all bytes, and writes them if it has a file."""

    def __init__(self, stream: "BinaryIO | None") -> None:
        self.stream = stream
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, data: "Any") -> int:
        if len(data) <= _CHUNK:
            self._take(data)
        elif self.stream is None:
            self.digest.update(data)
        else:
            self._write_in_chunks(memoryview(data))
        self.size += len(data)
        return len(data)

    def _write_in_chunks(self, view: "memoryview") -> None:
        """Hash and write a chunk at a time, while the chunk is in the processor's cache.

        Each chunk is copied first: another thread of the step may change the value in between, and the bytes
        that are written must be those that were hashed.
        """
        for start in range(0, len(view), _CHUNK):
            self._take(view[start : start + _CHUNK].tobytes())

    def _take(self, data: "Any") -> None:
        self.digest.update(data)
        if self.stream is not None:
            self.stream.write(data)


def _dump(value: "Any", sink: "_Sink", protocol: int) -> None:
    if protocol < _FIRST_WITH_BUFFERS:
        pickle.Pickler(sink, protocol).dump(value)
        return
    views: "list[memoryview]" = []

    def take(buffer: "Any") -> bool:
        view = buffer.raw()
        if view.nbytes < _LEAST_BUFFER:
            return True
        views.append(view)
        return False

    pickle.Pickler(sink, protocol, buffer_callback=take).dump(value)
    if not views:
        return
    index = []
    for view in views:
        sink.write(bytes(-sink.size % _ALIGNMENT))
        index.append([sink.size, view.nbytes, view.readonly])
        sink.write(view)
    text = json.dumps({"buffers": index}).encode("ascii")
    offset = sink.size
    sink.write(text)
    sink.write(_FOOTER.pack(offset, len(text), _MAGIC))


def _read_footer(stream: "BinaryIO", size: int) -> "tuple[int, int] | None":
    if size < _FOOTER.size:
        return None
    stream.seek(size - _FOOTER.size)
    offset, length, magic = _FOOTER.unpack(stream.read(_FOOTER.size))
    return (offset, length) if magic == _MAGIC else None


def _preview(value: "Any") -> "str | None":
    """Short text of a plain value, for people who list artifacts; None for other values.

    Subclasses get no preview: their ``repr`` may be anything, and may fail.
    """
    if type(value) is str:
        value = value[:_PREVIEW]
    elif type(value) is int:
        if value.bit_length() > _LONGEST_INT:
            return None
    elif value is not None and type(value) not in {bool, float}:
        return None
    text = repr(value)
    return text if len(text) <= _PREVIEW else text[: _PREVIEW - 1] + "…"
