"""The archive of an environment: what is packed is unpacked, and damage is seen."""

from __future__ import annotations

import contextlib
import errno
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

from airflow_conda_flow.environments import tar_stream
from airflow_conda_flow.environments.tar_stream import pack, unpack
from airflow_conda_flow.errors import CorruptData

MOST = 2**30
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


@example({"before 1970": ("file", b"x", 0o644, -1)})
@given(FOLDERS)
def test_what_is_packed_comes_back(content):
    """Names of any bytes and length, contents, modes and times to the second."""
    with temporary() as top:
        make(top / "from", content)
        unpack(io.BytesIO(packed(top / "from")), top / "to", MOST)
        assert read(top / "to") == read(top / "from") == content


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
            unpack(io.BytesIO(zstandard.compress(bytes(plain))), top / "to", MOST)
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
    (top / "large").write_bytes(os.urandom(1_000_001))
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


@pytest.mark.parametrize("size", [7, 513, 2**18])
def test_a_folder_comes_back_as_it_was(folder, tmp_path, size, monkeypatch):
    """In pieces of any size: names longer than a header holds, links, modes and times too."""
    monkeypatch.setattr(tar_stream, "_PIECE", size)
    unpack(io.BytesIO(packed(folder)), tmp_path / "target", MOST)
    assert state(tmp_path / "target") == state(folder)


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
        unpack(io.BytesIO(packed(folder)[:cut]), tmp_path / "target", MOST)


OUT = "../out"
"""Link to a folder outside of the one that is unpacked into; ``entries`` names it."""


@pytest.mark.parametrize(
    "entries",
    [
        [("../out/evil", "")],
        [("/out/evil", "")],
        [("a/../../out/evil", "")],
        [("evil/", "")],
        [("./evil", "")],
        [("d", OUT), ("d/evil", "")],
        [("d", OUT), ("d/./evil", "")],
        [("d", OUT), ("d/deep", None), ("d/deep/evil", "")],
        [("d", OUT), ("d", None), ("d/evil", "")],
        [("d", OUT), ("d/evil", OUT)],
        [("d", OUT), ("d/evil", "=d/known")],
        [("e", "."), ("e/e", OUT), ("e/evil", "")],
        [("real", None), ("real/d", "../../out"), ("real/d/evil", "")],
        [("d", "../out/known"), ("d", "")],
        [("evil", "=../out/known")],
        [("evil", "=/etc/passwd")],
        [("d", OUT), ("evil", "=d/known")],
        [("d", "../out/known"), ("evil", "=d")],
        [("missing/evil", "")],
    ],
    ids=str,
)
def test_nothing_leads_out(tmp_path, entries):
    """No entry is made outside the folder, by its name or through a link, and none links to what is outside.

    An entry is (name, link): "" for a file, None for a folder, "=" and a name for a hard link.
    """
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "known").write_text("known")
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, link in entries:
            info = tarfile.TarInfo(name)
            if link is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif link:
                info.type = tarfile.LNKTYPE if link.startswith("=") else tarfile.SYMTYPE
                info.linkname = link.lstrip("=")
            archive.addfile(info, io.BytesIO())
    with pytest.raises(CorruptData, match="packed environment cannot be read"):
        unpack(io.BytesIO(zstandard.compress(file.getvalue())), tmp_path / "target", MOST)
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["known"]
    assert (tmp_path / "out" / "known").read_text() == "known"
    assert (tmp_path / "out" / "known").stat().st_nlink == 1


def test_a_stream_larger_than_told(tmp_path):
    """A small archive that unpacks to much more is refused before the disk is full."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "zeros").write_bytes(bytes(50_000_000))
    data = packed(tmp_path / "folder")
    assert len(data) < 100_000
    with pytest.raises(CorruptData, match="larger than 2,000,000 bytes when it is unpacked"):
        unpack(io.BytesIO(data), tmp_path / "target", 2_000_000)
    assert (tmp_path / "target" / "zeros").stat().st_size <= 2_000_000


def test_a_name_without_bound(tmp_path):
    """Long names are read into memory, so they have a bound too."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2**32
    data = zstandard.compress(header.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(CorruptData, match="a name of 4,294,967,296 bytes"):
        unpack(io.BytesIO(data), tmp_path / "target", MOST)


def test_a_failing_source_is_its_own_error(folder, tmp_path):
    """A disk that cannot be read is not taken for a damaged archive."""

    class Failing(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise OSError(errno.EIO, "gone")
            return super().read(min(size, 1000))

    with pytest.raises(OSError, match="gone"):
        unpack(Failing(packed(folder)), tmp_path / "target", MOST)
