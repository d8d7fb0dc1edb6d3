"""Packed environments: one stream that makes what packages would have made."""

from __future__ import annotations

import subprocess
from dataclasses import asdict, replace

import pytest

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.environments import packing
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.packed import find_packed, packed_bytes
from airflow_conda_flow.errors import NotAsPrepared

from ...parts.damage import FAULTS
from .conftest import damage, run_python


@pytest.fixture
def make_container(tmp_path, monkeypatch):
    """A function: the environments of a container with an empty disk, at the path that all containers use."""
    place = tmp_path / "container"
    monkeypatch.setattr(packing, "CONTAINER_CACHE", str(place))
    monkeypatch.setattr("airflow_conda_flow.environments.packed.CONTAINER_CACHE", str(place))

    def make(storage, **options) -> Environments:
        subprocess.run(["rm", "-rf", place], check=True)
        return Environments(place, storage=storage, **options)

    return make


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
    assert sorted(each.name for each in place.iterdir()) == [".makers.mutex", "prefixes"]
    (compiled,) = (prefix / "lib").glob("python*/site-packages/__pycache__/six.*.pyc")
    before = compiled.stat()
    run_python(prefix, "import six")
    assert (compiled.stat().st_ino, compiled.stat().st_mtime) == (before.st_ino, before.st_mtime)


def test_a_warm_start_costs_one_small_read_an_environment(
    make_environments, make_spec, make_s3_storage, recorder
):
    """And one of its lock on a machine that has never seen it, which also asks how old all of it is."""
    specs = {
        "start": make_spec(six="1.17.0"),
        "end": make_spec(six="1.16.0"),
        "again": make_spec(six="1.17.0"),
    }
    make_environments("first", storage=make_s3_storage()).prepare_for_containers(specs)
    storage = make_s3_storage()
    requests = []
    storage.client.meta.events.register("before-send.s3", lambda request, **_: requests.append(request))
    second = make_environments("second", storage=storage, progress=recorder)
    second.prepare_for_containers(specs)
    endings = [request.url.rpartition(".")[2] for request in requests if request.method == "GET"]
    assert sorted(endings) == ["lock", "lock", "packed", "packed"]
    ages = [request.method for request in requests if request.method != "GET"]
    assert ages == ["HEAD"] * 6  # of lock, archive and the document that names it, of two environments
    requests.clear()
    second.prepare_for_containers(specs)
    assert [request.url.rpartition(".")[2] for request in requests] == ["packed", "packed"]
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
    # The next run packs it again, and the next container has no need of packages.
    make_environments("worker", storage=make_s3_storage()).prepare_for_containers({"start": spec})
    prefix = make_container(make_s3_storage()).prefix_for(spec.id, spec.platform)
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"
    assert not (prefix.parent.parent / "packages").exists()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_document_is_as_if_there_were_none(make_environments, make_spec, make_s3_storage, fault):
    """The next run packs the environment again; so it does if the document is that of another environment."""
    spec, other = make_spec(), make_spec(six="1.16.0")
    storage = make_s3_storage()
    machine = make_environments("worker", storage=storage)
    machine.prepare_for_containers({"start": spec})
    found = find_packed(storage, spec.platform, spec.id)
    key = layout.packed_environment(spec.platform, spec.id)
    data = storage.read_bytes(key)
    storage.write_bytes(layout.packed_environment(spec.platform, other.id), data)
    assert find_packed(storage, spec.platform, other.id) is None
    storage.write_bytes(key, FAULTS[fault](data))
    assert find_packed(storage, spec.platform, spec.id) is None
    machine.prepare_for_containers({"start": spec})
    assert find_packed(storage, spec.platform, spec.id).prefix == found.prefix


def other_archive(storage, spec) -> bytes:
    """The document of the spec's environment, before it was made to name another archive."""
    key = layout.packed_environment(spec.platform, spec.id)
    right = storage.read_bytes(key)
    packed = find_packed(storage, spec.platform, spec.id)
    storage.write_bytes(
        layout.environment_archive(spec.platform, "ab" * 32), b"an archive with a sitecustomize"
    )
    storage.write_bytes(key, packed_bytes(spec.platform, spec.id, replace(packed, sha256="ab" * 32, size=31)))
    return right


def test_another_archive_is_not_taken_by_a_run_that_was_prepared(
    make_environments, make_spec, make_s3_storage, make_container
):
    """Its record names the archive: what the datastore names later is not even read."""
    spec, storage = make_spec(), make_s3_storage()
    machine = make_environments("worker", storage=storage)
    packed = machine.prepare_for_containers({"start": spec})["start"]
    (lock,) = machine.resolve_all({"start": spec}).values()
    other_archive(storage, spec)
    ref = {"python": spec.python, "id": spec.id, "platform": spec.platform}
    ref.update(lock=lock.sha256, packed=asdict(packed))
    prefix = make_container(make_s3_storage()).prefix_of_run(ref)
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"
    assert sorted(each.name for each in prefix.parent.parent.iterdir()) == [".makers.mutex", "prefixes"]


def test_another_archive_is_not_taken_by_the_next_run(
    make_environments, make_spec, make_s3_storage, recorder
):
    """On a machine that knows the right one: it says so in one line, and names the right one again."""
    spec, storage = make_spec(), make_s3_storage()
    machine = make_environments("worker", storage=storage, progress=recorder)
    packed = machine.prepare_for_containers({"start": spec})
    recorder.said.clear()
    right = other_archive(storage, spec)
    assert machine.prepare_for_containers({"start": spec}) == packed
    (line,) = recorder.said
    key = layout.packed_environment(spec.platform, spec.id)
    assert f"{key} in the datastore {storage.url} named an archive that this machine does not know." in line
    assert storage.read_bytes(key) == right
    # If the known one is gone too, it is packed again; the other one is not taken in any case.
    other_archive(storage, spec)
    storage.write_bytes(layout.environment_archive(spec.platform, packed["start"].sha256), b"nothing")
    again = machine.prepare_for_containers({"start": spec})["start"]
    assert again.sha256 != "ab" * 32
    assert find_packed(storage, spec.platform, spec.id) == again


def test_another_lock_is_refused(make_environments, make_spec, make_s3_storage, make_container):
    """By a container, which has no copy of the right one; a worker's own copy is the right one."""
    spec, storage = make_spec(), make_s3_storage()
    machine = make_environments("worker", storage=storage)
    (lock,) = machine.resolve_all({"start": spec}).values()
    key = layout.lock(spec.platform, spec.id)
    packages = tuple(replace(each, url=f"{each.url}?") for each in lock.packages)
    storage.write_bytes(key, replace(lock, packages=packages).to_bytes())
    ref = {
        "python": spec.python,
        "id": spec.id,
        "platform": spec.platform,
        "lock": lock.sha256,
        "packed": None,
    }
    assert machine.prefix_of_run(ref).is_dir()
    with pytest.raises(NotAsPrepared) as caught:
        make_container(storage).prefix_of_run(ref)
    assert str(caught.value).startswith(
        f"The lock {key} in the datastore {storage.url} is not what this run was prepared with: "
    )


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
