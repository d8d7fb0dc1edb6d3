"""Packed environments: one stream that makes what packages would have made.

Packing costs seconds of processor time, so the tests of each kind of S3 share one root with packed environments. A
test that changes an object there finds the root as it was, whatever the test before it did.
"""

from __future__ import annotations

import subprocess
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.environments import packing
from airflow_conda_flow.environments.environments import Environments
from airflow_conda_flow.environments.packed import PackedEnvironment, find_packed, packed_bytes
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.environments.stopping import Stopped
from airflow_conda_flow.errors import NotAsPrepared

from ...parts.damage import FAULTS
from .conftest import damage, left, run_python


@dataclass
class Prepared:
    """A root in S3 with packed environments.

    Attributes:
        root: where.
        place: the cache directory of containers, at which the environments work.
        specs: of the environments, by label.
        packed: their archives, by label.
        objects: their documents and archives, by key.
    """

    root: str
    place: Path
    specs: dict[str, EnvironmentSpec]
    packed: dict[str, PackedEnvironment]
    objects: dict[str, bytes]

    def restore(self) -> None:
        """Put back what a test changed."""
        storage = S3Storage(self.root)
        for key, data in self.objects.items():
            if not storage.exists(key) or storage.read_bytes(key) != data:
                storage.write_bytes(key, data)


def use_place(monkeypatch, place) -> None:
    """Make a path the one that all containers use."""
    monkeypatch.setattr(packing, "CONTAINER_CACHE", str(place))
    monkeypatch.setattr("airflow_conda_flow.environments.packed.CONTAINER_CACHE", str(place))


@pytest.fixture(scope="module", params=["moto_s3", "rclone_s3"])
def packed_once(request, tmp_path_factory, channel):
    """A server and environments that a machine packed there; both servers in turn."""
    server = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp("packed")
    place = folder / "container"
    with pytest.MonkeyPatch.context() as patch:
        server.use(patch)
        use_place(patch, place)
        storage = S3Storage(server.make_root())
        versions = {"start": "1.17.0", "end": "1.16.0", "again": "1.17.0"}
        specs = {
            label: EnvironmentSpec(channel.python, {"six": version}, (channel.url,), current_platform())
            for label, version in versions.items()
        }
        packed = Environments(folder / "first", storage=storage).prepare_for_containers(specs)
        objects = {key: storage.read_bytes(key) for key in storage.list_keys("environments/")}
    return server, Prepared(storage.url, place, specs, packed, objects)


@pytest.fixture
def prepared(packed_once, monkeypatch) -> Prepared:
    """Packed environments, with which a test may do anything."""
    server, prepared = packed_once
    server.use(monkeypatch)
    use_place(monkeypatch, prepared.place)
    prepared.restore()
    return prepared


@pytest.fixture
def make_container(prepared):
    """A function: the environments of a container with an empty disk, at the path that all containers use."""

    def make(storage, **options) -> Environments:
        subprocess.run(["rm", "-rf", prepared.place], check=True)
        return Environments(prepared.place, storage=storage, **options)

    return make


def test_a_container_makes_it_of_the_archive_alone(prepared, make_container, channel):
    """With bytecode that Python takes, and without a package on the disk."""
    spec = prepared.specs["start"]
    channel.stop()
    container = make_container(S3Storage(prepared.root))
    prefix = container.prefix_for(spec.id, spec.platform)
    assert run_python(prefix, "import six, sys; print(six.__version__, sys.prefix)") == f"1.17.0 {prefix}"
    place = prefix.parent.parent
    assert sorted(each.name for each in place.iterdir()) == [".makers.mutex", "prefixes"]
    (compiled,) = (prefix / "lib").glob("python*/site-packages/__pycache__/six.*.pyc")
    before = compiled.stat()
    run_python(prefix, "import six")
    assert (compiled.stat().st_ino, compiled.stat().st_mtime) == (before.st_ino, before.st_mtime)


def test_a_warm_start_costs_one_small_read_an_environment(prepared, make_environments, recorder):
    """And one of its lock on a machine that has never seen it, which also asks how old all of it is."""
    storage = S3Storage(prepared.root)
    requests = []
    storage.client.meta.events.register("before-send.s3", lambda request, **_: requests.append(request))
    second = make_environments("second", storage=storage, progress=recorder)
    assert second.prepare_for_containers(prepared.specs) == prepared.packed
    endings = [request.url.rpartition(".")[2] for request in requests if request.method == "GET"]
    assert sorted(endings) == ["lock", "lock", "packed", "packed"]
    ages = [request.method for request in requests if request.method != "GET"]
    assert ages == ["HEAD"] * 6  # of lock, archive and the document that names it, of two environments
    requests.clear()
    second.prepare_for_containers(prepared.specs)
    assert [request.url.rpartition(".")[2] for request in requests] == ["packed", "packed"]
    assert recorder.said == []


def test_a_damaged_archive_is_left_and_packages_are_taken(
    prepared, make_environments, make_container, recorder, tmp_path
):
    spec, storage = prepared.specs["start"], S3Storage(prepared.root)
    key = layout.environment_archive(spec.platform, prepared.packed["start"].sha256)
    storage.download(key, tmp_path / "archive")
    damage(tmp_path / "archive")
    storage.upload(tmp_path / "archive", key)
    container = make_container(storage, progress=recorder)
    prefix = container.prefix_for(spec.id, spec.platform)
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"
    assert any("Making the environment of its packages." in text for text in recorder.said)
    assert (prefix.parent.parent / "packages").is_dir()
    # The next run packs it again, and the next container has no need of packages.
    make_environments("worker", storage=S3Storage(prepared.root)).prepare_for_containers({"start": spec})
    prefix = make_container(S3Storage(prepared.root)).prefix_for(spec.id, spec.platform)
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"
    assert not (prefix.parent.parent / "packages").exists()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_document_is_as_if_there_were_none(prepared, fault):
    """So is the document of another environment."""
    spec, other = prepared.specs["start"], prepared.specs["end"]
    storage = S3Storage(prepared.root)
    key = layout.packed_environment(spec.platform, spec.id)
    data = storage.read_bytes(key)
    storage.write_bytes(layout.packed_environment(spec.platform, other.id), data)
    assert find_packed(storage, spec.platform, other.id) is None
    assert find_packed(storage, spec.platform, spec.id) == prepared.packed["start"]
    storage.write_bytes(key, FAULTS[fault](data))
    assert find_packed(storage, spec.platform, spec.id) is None


def test_an_environment_without_its_document_is_packed_again(prepared, make_environments):
    """By the next run, on a machine that knows the environment; the damaged document is replaced."""
    spec, storage = prepared.specs["start"], S3Storage(prepared.root)
    machine = make_environments("worker", storage=storage)
    assert machine.prepare_for_containers({"start": spec})["start"] == prepared.packed["start"]
    key = layout.packed_environment(spec.platform, spec.id)
    storage.write_bytes(key, FAULTS["one bit flipped"](storage.read_bytes(key)))
    again = machine.prepare_for_containers({"start": spec})["start"]
    assert again.prefix == prepared.packed["start"].prefix
    assert find_packed(storage, spec.platform, spec.id) == again


def test_a_deleted_environment_is_whole_again(prepared, make_environments, make_container):
    """Somebody has deleted document, archive and lock; a container that cannot use the new archive has the lock."""
    spec, storage = prepared.specs["start"], S3Storage(prepared.root)
    machine = make_environments("worker", storage=storage)
    lock = machine.resolve(spec, "start")
    machine.prepare_for_containers({"start": spec})
    bucket, _, prefix = prepared.root.removeprefix("s3://").partition("/")
    for key in list(storage.list_keys("environments/")):
        storage.client.delete_object(Bucket=bucket, Key=f"{prefix}/{key}")
    packed = machine.prepare_for_containers({"start": spec})["start"]
    storage.write_bytes(layout.environment_archive(spec.platform, packed.sha256), b"damaged")
    ref = {"python": spec.python, "id": spec.id, "platform": spec.platform, "lock": lock.sha256}
    prefix = make_container(storage).prefix_of_run({**ref, "packed": asdict(packed)})
    assert (prefix / "bin" / "python").exists()


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


def test_another_archive_is_not_taken_by_a_run_that_was_prepared(prepared, make_environments, make_container):
    """Its record names the archive: what the datastore names later is not even read."""
    spec, storage = prepared.specs["start"], S3Storage(prepared.root)
    (lock,) = make_environments("worker", storage=storage).resolve_all({"start": spec}).values()
    other_archive(storage, spec)
    ref = {"python": spec.python, "id": spec.id, "platform": spec.platform}
    ref.update(lock=lock.sha256, packed=asdict(prepared.packed["start"]))
    prefix = make_container(S3Storage(prepared.root)).prefix_of_run(ref)
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"
    assert sorted(each.name for each in prefix.parent.parent.iterdir()) == [".makers.mutex", "prefixes"]


def test_another_archive_is_not_taken_by_the_next_run(prepared, make_environments, recorder):
    """On a machine that met or packed the right one: it says so in one line, and names the right one again."""
    spec, storage = prepared.specs["start"], S3Storage(prepared.root)
    machine = make_environments("worker", storage=storage, progress=recorder)
    packed = machine.prepare_for_containers({"start": spec})["start"]
    assert packed == prepared.packed["start"]
    expect_named_again(machine, storage, spec, packed, recorder)
    # If the known one is gone too, it is packed again; the other one is not taken in any case.
    other_archive(storage, spec)
    storage.write_bytes(layout.environment_archive(spec.platform, packed.sha256), b"nothing")
    again = machine.prepare_for_containers({"start": spec})["start"]
    assert again.sha256 != "ab" * 32
    assert find_packed(storage, spec.platform, spec.id) == again
    expect_named_again(machine, storage, spec, again, recorder)


def expect_named_again(machine, storage, spec, packed, recorder) -> None:
    """Name another archive: the machine's next run takes the packed one, and names that again."""
    recorder.said.clear()
    right = other_archive(storage, spec)
    assert machine.prepare_for_containers({"start": spec}) == {"start": packed}
    (line,) = recorder.said
    key = layout.packed_environment(spec.platform, spec.id)
    assert f"{key} in the datastore {storage.url} named an archive that this machine does not know." in line
    assert storage.read_bytes(key) == right


def test_another_lock_is_refused(prepared, make_environments, make_container):
    """By a container, which has no copy of the right one; a worker's own copy is the right one."""
    spec, storage = prepared.specs["start"], S3Storage(prepared.root)
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


def test_another_place_takes_packages(prepared, make_environments):
    """The archive is made for one path: a machine with its cache elsewhere does not even ask."""
    spec, storage = prepared.specs["start"], S3Storage(prepared.root)
    urls = []
    storage.client.meta.events.register("before-send.s3", lambda request, **_: urls.append(request.url))
    prefix = make_environments("other", storage=storage).prefix_for(spec.id, spec.platform)
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"
    assert not [url for url in urls if "packed" in url or "tar.zst" in url]


@pytest.mark.parametrize("text", ["Fetching the packed environment", "Unpacking the environment"])
def test_unpacking_is_stopped(prepared, make_container, text):
    """While the archive comes, and while it is unpacked."""
    spec = prepared.specs["start"]
    cancel = threading.Event()
    progress = _Stopping(text, cancel)
    container = make_container(S3Storage(prepared.root), progress=progress)
    with pytest.raises(Stopped):
        container.prefix_for(spec.id, spec.platform, cancel)
    assert progress.entered[-1].startswith(text)
    assert left(prepared.place) == []
    cancel.clear()
    assert container.prefix_for(spec.id, spec.platform, cancel).is_dir()


class _Stopping:
    """A ``Progress`` that sets an event when a phase begins."""

    def __init__(self, text: str, cancel: threading.Event) -> None:
        self._text, self._cancel = text, cancel
        self.entered: list[str] = []

    def say(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass

    def phase(self, text: str, *_total_and_unit):
        self.entered.append(text)
        if text == self._text or text.startswith(f"{self._text}:"):
            self._text = "never again"
            self._cancel.set()
        return self

    def __enter__(self):
        return lambda _more: None

    def __exit__(self, *_error) -> None:
        pass
