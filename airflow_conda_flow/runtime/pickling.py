"""An artifact's bytes: pickled to a file while hashed, and read back.

The file is a pickle. With protocol 5, large buffers follow it (https://peps.python.org/pep-0574/)::

    pickle stream | each buffer at a multiple of 64 bytes | JSON index | footer

    footer   offset and length of the index, 8 bytes each, little endian, and the magic
    index    {"buffers": [[offset, length, read-only], ...]}

Buffers are read through a private mapping of the file: an array is writable, and neither copied nor
read before it is touched. Any pickle reader can read a file without buffers.
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
_FIRST_WITH_BUFFERS = 5
_ALIGNMENT = 64
_LEAST_BUFFER = 64 * 1024
_CHUNK = 256 * 1024
_READ_WHOLE = 1024 * 1024
_PREVIEW = 80
_LONGEST_INT = 200  # bits; Python refuses to write out very long ones


def dump_to_file(value: "Any", path: str, protocol: int) -> "ArtifactRef":
    """Write a value's bytes to a new file; returns the ``ArtifactRef`` of it.

    Raises whatever pickle raises for a value that cannot be pickled; the file is then incomplete.
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
    """The sha256 that ``dump_to_file`` would give, without writing."""
    sink = _Sink(None)
    _dump(value, sink, protocol)
    return sink.digest.hexdigest()


def load_from_file(path: str) -> "Any":
    """The value in a file of ``dump_to_file``."""
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
    """The full name of a value's type, such as ``builtins.dict``."""
    return "%s.%s" % (type(value).__module__, type(value).__qualname__)


class _Sink:
    """Takes bytes, hashes them, and writes them where there is a file."""

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
        """Each chunk is hashed and written while it is in the processor's cache.

        From a copy: another thread of the step may change the value meanwhile, and then what is
        hashed must still be what is written.
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
    """A short text of a plain value, for people who list artifacts.

    Subclasses are left out: their ``repr`` may be anything, and may fail.
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
