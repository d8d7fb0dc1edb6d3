"""Packed environments: one stream that makes what packages would have made."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.environments import environments as environments_module
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.packed import find_packed
from airflow_conda_flow.environments.tar_stream import pack, unpack
from airflow_conda_flow.errors import CorruptData

from .conftest import damage, run_python


@pytest.fixture
def make_container(tmp_path, monkeypatch):
    """A function: the environments of a container with an empty disk, at the path that all containers use."""
    place = tmp_path / "container"
    monkeypatch.setattr(environments_module, "CONTAINER_CACHE", str(place))
    monkeypatch.setattr("airflow_conda_flow.environments.packed.CONTAINER_CACHE", str(place))

    def make(storage, **options) -> Environments:
        subprocess.run(["rm", "-rf", place], check=True)
        return Environments(place, storage=storage, **options)

    return make


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


def packed_bytes(folder: Path) -> bytes:
    file = io.BytesIO()
    pack(folder, file)
    return file.getvalue()


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
    data = packed_bytes(folder)
    for size in (7, 100_000, len(data)):
        target = tmp_path / f"target-{size}"
        unpack((data[start : start + size] for start in range(0, len(data), size)), target)
        assert state(target) == state(folder)


def test_any_tar_reads_the_archive(folder, tmp_path):
    (tmp_path / "target").mkdir()
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(packed_bytes(folder))
    subprocess.run(["tar", "-x", "-C", tmp_path / "target"], input=plain, check=True)
    assert state(tmp_path / "target") == state(folder)


@pytest.mark.parametrize("cut", [1, 1000, -1])
def test_a_stream_that_ends_early_is_corrupt(folder, tmp_path, cut):
    with pytest.raises(CorruptData, match="packed environment cannot be read"):
        unpack(iter([packed_bytes(folder)[:cut]]), tmp_path / "target")


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside"])
def test_a_name_that_leads_out_is_refused(tmp_path, name):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(CorruptData, match="unsafe name"):
        unpack(iter([zstandard.compress(file.getvalue())]), tmp_path / "target")


def test_a_failing_source_is_its_own_error(folder, tmp_path):
    def source():
        yield packed_bytes(folder)[:1000]
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        unpack(source(), tmp_path / "target")


def test_a_container_makes_it_of_the_archive_alone(
    make_environments, make_spec, make_s3_storage, make_container, channel
):
    """With bytecode that Python takes, and without a package on the disk."""
    spec = make_spec()
    machine = make_environments("worker", storage=make_s3_storage())
    machine.prepare_for_containers({"start": spec})
    channel.stop()
    container = make_container(make_s3_storage())
    prefix = container.prefix_for(spec.id, spec.platform)
    assert run_python(prefix, "import six, sys; print(six.__version__, sys.prefix)") == f"1.17.0 {prefix}"
    place = prefix.parent.parent
    assert sorted(each.name for each in place.iterdir()) == ["prefixes"]
    (compiled,) = (prefix / "lib").glob("python*/site-packages/__pycache__/six.*.pyc")
    before = compiled.stat()
    run_python(prefix, "import six")
    assert (compiled.stat().st_ino, compiled.stat().st_mtime) == (before.st_ino, before.st_mtime)


def test_a_warm_start_costs_one_small_read_an_environment(
    make_environments, make_spec, make_s3_storage, recorder
):
    """On a machine that has never seen them."""
    specs = {
        "start": make_spec(six="1.17.0"),
        "end": make_spec(six="1.16.0"),
        "again": make_spec(six="1.17.0"),
    }
    make_environments("first", storage=make_s3_storage()).prepare_for_containers(specs)
    storage = make_s3_storage()
    requests = []
    storage.client.meta.events.register("before-send.s3", lambda request, **_: requests.append(request))
    make_environments("second", storage=storage, progress=recorder).prepare_for_containers(specs)
    assert sorted(request.method for request in requests) == ["GET", "GET"]
    assert all(".packed" in request.url for request in requests)
    assert recorder.said == []


def test_a_damaged_archive_is_left_and_packages_are_taken(
    make_environments, make_spec, make_s3_storage, make_container, recorder, tmp_path
):
    spec = make_spec()
    storage = make_s3_storage()
    make_environments("worker", storage=storage).prepare_for_containers({"start": spec})
    key = layout.environment_archive(spec.platform, find_packed(storage, spec.platform, spec.id).sha256)
    storage.download(key, tmp_path / "archive")
    damage(tmp_path / "archive")
    storage.upload(tmp_path / "archive", key)
    container = make_container(storage, progress=recorder)
    prefix = container.prefix_for(spec.id, spec.platform)
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"
    assert any("Making the environment of its packages." in text for text in recorder.said)
    assert (prefix.parent.parent / "packages").is_dir()


def test_another_place_takes_packages(make_environments, make_spec, make_s3_storage):
    """The archive is made for one path: a machine with its cache elsewhere does not even ask."""
    spec = make_spec()
    make_environments("worker", storage=make_s3_storage()).prepare_for_containers({"start": spec})
    storage = make_s3_storage()
    urls = []
    storage.client.meta.events.register("before-send.s3", lambda request, **_: urls.append(request.url))
    prefix = make_environments("other", storage=storage).prefix_for(spec.id, spec.platform)
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"
    assert not [url for url in urls if "packed" in url or "tar.zst" in url]
