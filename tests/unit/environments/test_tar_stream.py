"""Properties of the archive of an environment: what is packed is unpacked, and damage is seen."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import zstandard
from hypothesis import assume, example, given
from hypothesis import strategies as st

from airflow_conda_flow.environments.tar_stream import pack, unpack
from airflow_conda_flow.errors import CorruptData

NAMES = (
    (
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=150).map(os.fsencode)
        | st.binary(min_size=1, max_size=255)
    )
    .filter(lambda name: not {ord("/"), 0} & set(name) and len(name) <= 255 and name not in {b".", b".."})
    .map(os.fsdecode)
)
FILES = st.tuples(
    st.just("file"),
    st.binary(max_size=2000) | st.integers(0, 3000).map(lambda size: b"x" * size),
    st.sampled_from([0o644, 0o755, 0o600, 0o444, 0o555]),
    st.integers(-(2**31), 2**33),
)
LINKS = st.tuples(st.just("link"), NAMES)
FOLDERS = st.recursive(
    st.dictionaries(NAMES, FILES | LINKS, max_size=4),
    lambda inner: st.dictionaries(NAMES, FILES | LINKS | inner, max_size=4),
    max_leaves=8,
)


def make(folder: Path, content: dict) -> None:
    """Make what a strategy has drawn."""
    folder.mkdir()
    for name, each in content.items():
        path = folder / name
        if isinstance(each, dict):
            make(path, each)
        elif each[0] == "link":
            path.symlink_to(each[1])
        else:
            _, data, mode, time = each
            path.write_bytes(data)
            path.chmod(mode)
            os.utime(path, (time, time))


def read(folder: Path) -> dict[str, object]:
    """Everything in a folder by its name: what is compared."""
    found: dict[str, object] = {}
    for path in folder.iterdir():
        if path.is_symlink():
            found[path.name] = ("link", os.fspath(path.readlink()))
        elif path.is_dir():
            found[path.name] = read(path)
        else:
            stat = path.stat()
            found[path.name] = ("file", path.read_bytes(), stat.st_mode & 0o7777, int(stat.st_mtime))
    return found


@contextlib.contextmanager
def temporary() -> Iterator[Path]:
    """A new directory for each example; fixtures are made once for all of them."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def packed(folder: Path) -> bytes:
    """The archive of a folder."""
    file = io.BytesIO()
    pack(folder, file)
    return file.getvalue()


@example({"before 1970": ("file", b"x", 0o644, -1)}, 512)
@given(FOLDERS, st.integers(1, 5000))
def test_what_is_packed_comes_back(content, size):
    """Names of any bytes and length, contents, modes and times to the second; in pieces of any size."""
    with temporary() as top:
        make(top / "from", content)
        data = packed(top / "from")
        pieces = (data[start : start + size] for start in range(0, len(data), size))
        digest = unpack(pieces, top / "to")
        assert digest == hashlib.sha256(data).hexdigest()
        assert read(top / "to") == read(top / "from") == content


@given(FOLDERS.filter(bool), st.data())
def test_a_cut_archive_is_corrupt_or_has_another_digest(content, data):
    """The end of a stream that breaks off is never taken for the end of the archive."""
    with temporary() as top:
        make(top / "from", content)
        whole = packed(top / "from")
        cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
        try:
            digest = unpack(iter([cut]), top / "to")
        except CorruptData:
            return
        assert digest != hashlib.sha256(whole).hexdigest()


@given(FOLDERS.filter(bool), st.data())
def test_a_damaged_archive_fails_as_corrupt_if_at_all(content, data):
    """A byte that changed raises no other error, and writes nothing outside the folder."""
    with temporary() as top:
        make(top / "from", content)
        plain = bytearray(zstandard.ZstdDecompressor().decompressobj().decompress(packed(top / "from")))
        place = data.draw(st.integers(0, len(plain) - 1) | st.integers(0, 511))  # 512 bytes are a header
        new = data.draw(st.integers(0, 255))
        assume(plain[place] != new)
        plain[place] = new
        with contextlib.suppress(CorruptData):
            unpack(iter([zstandard.compress(bytes(plain))]), top / "to")
        assert sorted(each.name for each in top.iterdir()) == ["from", "to"]
