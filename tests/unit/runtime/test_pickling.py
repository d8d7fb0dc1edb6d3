"""An artifact's bytes: written once, hashed on the way, read back without a copy."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import hashlib
import pickle
import tracemalloc

import pytest

from airflow_conda_flow.runtime import pickling


class Buffer(bytearray):
    """Bytes that pickle out of band, as an array does."""

    def __reduce_ex__(self, protocol):
        if protocol < 5:
            return type(self), (bytes(self),)
        return type(self)._adopt, (pickle.PickleBuffer(self),)

    @classmethod
    def _adopt(cls, data):
        return memoryview(data)


VALUES = [
    None,
    True,
    -(2**100),
    10**5000,
    1.5,
    float("inf"),
    "",
    "caf\xe9 \ud800",
    b"\x00\xff",
    bytearray(b"x" * 100_000),
    b"x" * 20_000_000,
    {"a": [1, (2, {3, 4})], None: frozenset("ab")},
    collections.OrderedDict([("b", 1), ("a", 2)]),
    dt.datetime(2026, 11, 24, tzinfo=dt.timezone.utc),
    decimal.Decimal("1.10"),
    len,
    collections.OrderedDict,
]


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back(tmp_path, value, protocol):
    """A value reads back the same, and the reference says what the file is."""
    path = tmp_path / "artifact"
    ref = pickling.dump_to_file(value, str(path), protocol)
    assert pickling.load_from_file(str(path)) == value
    data = path.read_bytes()
    assert ref["sha256"] == hashlib.sha256(data).hexdigest() == pickling.digest(value, protocol)
    assert ref["size"] == len(data)
    assert ref["protocol"] == protocol
    assert ref["type"].endswith(type(value).__qualname__)
    assert pickle.loads(data) == value  # no buffers, so it is a pickle for anybody


def test_large_buffers_follow_the_pickle(tmp_path):
    """Each starts at a multiple of 64 bytes, and stays writable or read-only as it was."""
    path = tmp_path / "artifact"
    values = {"w": Buffer(b"a" * 100_001), "r": pickle.PickleBuffer(b"b" * 200_000), "small": Buffer(b"c")}
    ref = pickling.dump_to_file(values, str(path), 5)
    data = path.read_bytes()
    assert ref["sha256"] == hashlib.sha256(data).hexdigest() == pickling.digest(values, 5)
    assert data.index(b"a" * 100_001) % 64 == 0
    assert data.index(b"b" * 200_000) % 64 == 0
    loaded = pickling.load_from_file(str(path))
    assert {name: bytes(value) for name, value in loaded.items()} == {
        "w": b"a" * 100_001,
        "r": b"b" * 200_000,
        "small": b"c",
    }
    assert not memoryview(loaded["w"]).readonly
    assert memoryview(loaded["r"]).readonly


def test_a_change_stays_in_the_process(tmp_path):
    """A buffer is written to in memory; the file and other readers see nothing of it."""
    path = tmp_path / "artifact"
    pickling.dump_to_file(Buffer(b"a" * 100_000), str(path), 5)
    path.chmod(0o444)
    loaded = pickling.load_from_file(str(path))
    loaded[0] = ord("b")
    assert bytes(loaded[:2]) == b"ba"
    assert bytes(pickling.load_from_file(str(path))[:2]) == b"aa"
    assert pickling.digest(Buffer(loaded), 5) != pickling.digest(Buffer(b"a" * 100_000), 5)


def test_a_large_buffer_is_not_copied(tmp_path):
    """Writing, hashing and reading 64 MB need a small part of that."""
    value = Buffer(64_000_000)
    path = str(tmp_path / "artifact")
    tracemalloc.start()
    try:
        pickling.dump_to_file(value, path, 5)
        pickling.digest(value, 5)
        loaded = pickling.load_from_file(path)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    assert len(loaded) == 64_000_000


def test_protocol_4_has_no_buffers(tmp_path):
    """A value for Python 3.6 is one plain pickle."""
    path = tmp_path / "artifact"
    pickling.dump_to_file(Buffer(b"a" * 100_000), str(path), 4)
    assert pickle.loads(path.read_bytes()) == b"a" * 100_000


def test_an_artifact_is_never_overwritten(tmp_path):
    """The file must be new."""
    path = str(tmp_path / "artifact")
    pickling.dump_to_file(1, path, 5)
    with pytest.raises(FileExistsError):
        pickling.dump_to_file(2, path, 5)


class Loud(str):
    __slots__ = ()

    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "preview"),
    [
        (None, "None"),
        (1, "1"),
        (True, "True"),
        (1.5, "1.5"),
        ("a", "'a'"),
        ("a" * 100, "'" + "a" * 78 + "…"),
        (2**200, None),
        (Loud("a"), None),
        ([1], None),
        (b"a", None),
    ],
)
def test_previews(tmp_path, value, preview):
    """Plain values show themselves, in 80 characters; no ``repr`` of a user's class is called."""
    assert pickling.dump_to_file(value, str(tmp_path / "a"), 5)["preview"] == preview
