"""The archive of an environment: what is packed is unpacked, and damage is seen."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
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


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with everything that an environment may hold, and a file larger than any buffer."""
    top = tmp_path / "folder"
    deep = top / ("long-" * 15) / ("name-" * 18)
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"deep")
    (deep / "link").symlink_to("x" * 150)
    (top / "empty").touch()
    (top / "large").write_bytes(os.urandom(5_000_001))
    (top / "program").write_text("#!/bin/sh\n")
    (top / "program").chmod(0o755)
    (top / "hard").hardlink_to(top / "large")
    (top / "café").write_text("é")
    os.utime(top / "empty", (1_000_000_000, 1_000_000_000))
    return top


def state(top: Path) -> dict[str, tuple]:
    return {
        str(path.relative_to(top)): (
            str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else None,
            path.lstat().st_mode,
            None if path.is_symlink() or path.is_dir() else int(path.stat().st_mtime),
        )
        for path in top.rglob("*")
    }


def test_a_folder_comes_back_as_it_was(folder, tmp_path):
    """In pieces of any size: names longer than a header holds, links, modes and times too."""
    data = packed(folder)
    for size in (7, 100_000, len(data)):
        target = tmp_path / f"target-{size}"
        unpack((data[start : start + size] for start in range(0, len(data), size)), target)
        assert state(target) == state(folder)


def test_any_tar_reads_the_archive(folder, tmp_path):
    """It is a plain tar stream, compressed with zstd."""
    (tmp_path / "target").mkdir()
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(packed(folder))
    subprocess.run(["tar", "-x", "-C", tmp_path / "target"], input=plain, check=True)
    assert state(tmp_path / "target") == state(folder)


@pytest.mark.parametrize("cut", [1, 1000, -1])
def test_a_stream_that_ends_early_is_corrupt(folder, tmp_path, cut):
    """Wherever it ends."""
    with pytest.raises(CorruptData, match="packed environment cannot be read"):
        unpack(iter([packed(folder)[:cut]]), tmp_path / "target")


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside"])
def test_a_name_that_leads_out_is_refused(tmp_path, name):
    """No file is written outside the folder."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(CorruptData, match="unsafe name"):
        unpack(iter([zstandard.compress(file.getvalue())]), tmp_path / "target")


def test_a_failing_source_is_its_own_error(folder, tmp_path):
    """A connection that breaks is not taken for a damaged archive."""

    def source():
        yield packed(folder)[:1000]
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        unpack(source(), tmp_path / "target")
