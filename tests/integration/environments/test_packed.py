"""Packed environments: one stream that makes what packages would have made."""

from __future__ import annotations

import subprocess

import pytest

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.environments import environments as environments_module
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.packed import find_packed

from ...parts.damage import FAULTS
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
