"""Damaged bytes are never taken for verified; whoever has the right ones puts them in their place."""

from __future__ import annotations

import subprocess
import sys

import pytest

from airflow_conda_flow.datastore import code_package, digest, layout
from airflow_conda_flow.datastore.borrowing_artifacts import BorrowingArtifacts
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.s3_storage import S3Storage
from airflow_conda_flow.datastore.s3_transfer import PART, RangedDownload
from airflow_conda_flow.errors import CorruptData, NotInDatastore

from ...parts.damage import FAULTS, FILE_FAULTS, damage
from .conftest import sha256

DATA = b"good " * 100_000
SHA = sha256(DATA)
KEY = layout.artifact(SHA)
# An object of S3 cannot become a directory.
ON_S3 = pytest.mark.on("moto", "rclone")
ON_FILES = pytest.mark.on("local")
STORED_FAULTS = [*FAULTS, pytest.param("a directory", marks=ON_FILES)]
# In the process that has just written and hashed the file, and in any other one.
PROCESSES = pytest.mark.parametrize("process", ["the same process", "another process"])


def publish(store, data=DATA):
    """Publish these bytes, as a step process would have written them."""
    path = store.artifacts.scratch_dir() / "artifact"
    path.write_bytes(data)
    store.artifacts.publish(path, sha256(data))
    assert not path.exists()


def spoil(storage, key, fault):
    """Damage what is stored under the key."""
    if (path := storage.local_path(key)) is not None:
        damage(path, fault)
    else:
        storage.write_bytes(key, FAULTS[fault](storage.read_bytes(key)))


def restart(process):
    """Go on as in that process."""
    if process == "another process":
        digest.forget()


@pytest.fixture
def said():
    """Lines that were said."""
    return []


@PROCESSES
@pytest.mark.parametrize("fault", STORED_FAULTS)
def test_publishing_again_mends_an_artifact(make_datastore, fault, process):
    """Whatever the stored bytes have become, the task that is run again replaces them."""
    first = make_datastore("first")
    publish(first)
    spoil(first.storage, KEY, fault)
    restart(process)
    again = make_datastore("again")
    publish(again)
    assert again.storage.read_bytes(KEY) == DATA
    for machine in ("first", "again", "third"):
        assert make_datastore(machine).artifacts.fetch(SHA, len(DATA)).read_bytes() == DATA
    assert list(again.storage.list_keys("artifacts/")) == [KEY]


@PROCESSES
@pytest.mark.parametrize("fault", STORED_FAULTS)
def test_a_damaged_artifact_is_not_handed_out(make_datastore, fault, process):
    """The error names the key, where it is, both digests, and what to do."""
    publish(make_datastore("first"))
    store = make_datastore("other")
    spoil(store.storage, KEY, fault)
    restart(process)
    with pytest.raises(CorruptData) as caught:
        store.artifacts.fetch(SHA, len(DATA))
    message = str(caught.value)
    assert message.startswith(f"{KEY} in {store.storage.url} is corrupt: expected sha256 {SHA}, got ")
    assert message.endswith("Run again the task that wrote it: it replaces the damaged bytes.")
    assert "\n" not in message


@ON_S3  # a local datastore has no download cache
@PROCESSES
@pytest.mark.parametrize("fault", FILE_FAULTS)
def test_a_damaged_copy_in_the_cache_is_fetched_again(make_datastore, said, fault, process):
    """With one line that names it; the datastore's bytes are right."""
    store = make_datastore("first")
    publish(store)
    damage(store.cache_dir / KEY, fault)
    restart(process)
    path = store.artifacts.fetch(SHA, len(DATA), said.append)
    assert path.read_bytes() == DATA
    assert len(said) == 1
    assert said[0].startswith(f"{path} is damaged (")
    assert said[0].endswith(f"); fetching it again from {store.storage.url}.")
    assert store.artifacts.fetch(SHA, len(DATA), said.append) == path
    assert len(said) == 1


@pytest.mark.parametrize("fault", FILE_FAULTS)
def test_publishing_mends_the_cache(make_datastore, said, fault):
    """A damaged copy in the cache is replaced by the file that is published."""
    store = make_datastore("first")
    publish(store)
    copy = LocalStorage(store.cache_dir).local_path(KEY) if store.storage.kind == "s3" else None
    damage(copy or store.storage.local_path(KEY), fault)
    digest.forget()
    publish(store)
    assert store.artifacts.fetch(SHA, len(DATA), said.append).read_bytes() == DATA
    assert said == []


@ON_S3  # a local datastore has no download cache
@pytest.mark.parametrize("fault", FAULTS)
def test_the_cache_and_the_datastore_are_damaged(make_datastore, said, fault):
    """One error, about the datastore: the copy in the cache cannot be mended before."""
    store = make_datastore("first")
    publish(store)
    spoil(store.storage, KEY, fault)
    damage(store.cache_dir / KEY, fault)
    for _ in range(2):  # nothing was remembered
        with pytest.raises(CorruptData) as caught:
            store.artifacts.fetch(SHA, len(DATA), said.append)
        assert f"{KEY} in {store.storage.url} is corrupt: " in str(caught.value)
        assert "Run again the task that wrote it" in str(caught.value)
    publish(store)
    assert store.artifacts.fetch(SHA, len(DATA)).read_bytes() == DATA


def test_a_file_that_is_published_is_hashed_here(datastore):
    """A step process may say what it likes: a file without that digest is not stored."""
    path = datastore.artifacts.scratch_dir() / "artifact"
    path.write_bytes(FAULTS["overwritten"](DATA))
    with pytest.raises(CorruptData, match="was to be published as artifacts/"):
        datastore.artifacts.publish(path, SHA)
    with pytest.raises(NotInDatastore):
        datastore.artifacts.fetch(SHA, len(DATA))


def test_an_artifact_is_read_once(datastore, monkeypatch):
    """Publishing hashes the file once; fetching it in the same process does not read it again."""
    reads = []
    real = digest.file_sha256
    monkeypatch.setattr(digest, "file_sha256", lambda path: reads.append(path) or real(path))
    publish(datastore)
    datastore.artifacts.fetch(SHA, len(DATA))
    assert len(reads) == 1


def test_what_is_right_is_verified_once_per_process(make_datastore, monkeypatch):
    """A process that publishes a value many times reads the stored one once, and writes it never."""
    publish(make_datastore("first"))
    digest.forget()
    store = make_datastore("other")
    reads, uploads = [], []
    real, real_s3 = digest.file_sha256, S3Storage._read_sha256
    monkeypatch.setattr(digest, "file_sha256", lambda path: reads.append(path) or real(path))
    monkeypatch.setattr(S3Storage, "_read_sha256", lambda *args: reads.append(args[1]) or real_s3(*args))
    store.storage.upload = lambda *args: uploads.append(args)
    for _ in range(5):
        publish(store)
    assert uploads == []
    stored = [each for each in reads if str(each).endswith(KEY)]
    assert len(stored) == 1


@ON_FILES  # objects have no open files
def test_a_reader_keeps_the_file_that_it_opened(datastore):
    """Mending replaces a file, and never writes into the one that somebody reads."""
    publish(datastore)
    path = datastore.storage.local_path(KEY)
    with path.open("rb") as file:
        damage(path, "overwritten")
        before = file.read()
        publish(datastore)
        file.seek(0)
        assert file.read() == before
    assert path.read_bytes() == DATA


def test_processes_mend_at_once(datastore_root, datastore, tmp_path):
    """Processes that publish the right bytes over damaged ones at once all succeed."""
    publish(datastore)
    spoil(datastore.storage, KEY, "overwritten")
    code = (
        "import sys, hashlib\n"
        "from airflow_conda_flow.datastore.datastore import open_datastore\n"
        "artifacts = open_datastore(*sys.argv[1:3], sys.argv[3]).artifacts\n"
        "data = b'good ' * 100_000\n"
        "for _ in range(5):\n"
        "    path = artifacts.scratch_dir() / 'artifact'\n"
        "    path.write_bytes(data)\n"
        "    artifacts.publish(path, hashlib.sha256(data).hexdigest())\n"
        "    assert artifacts.fetch(hashlib.sha256(data).hexdigest(), len(data)).read_bytes() == data\n"
    )
    command = [sys.executable, "-c", code, *datastore_root, str(tmp_path / "shared")]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert datastore.storage.read_bytes(KEY) == DATA


@ON_S3  # a directory's files are replaced, and read from one inode
@pytest.mark.parametrize(
    "verified",
    [
        True,
        pytest.param(
            False, marks=pytest.mark.on("moto")
        ),  # rclone knows no conditions, so only a digest tells
    ],
)
def test_an_object_that_is_mended_while_it_is_read(make_datastore, monkeypatch, tmp_path, verified):
    """The download begins again, and gives the right bytes: no mixture, whether it is verified or not."""
    store = make_datastore("first")
    data = b"0123456789abcdef" * (PART // 16 * 2)
    publish(store, data)
    key = layout.artifact(sha256(data))
    store.storage.write_bytes(key, FAULTS["overwritten"](data))
    real, mended = RangedDownload._first, []

    def first(self: RangedDownload) -> int:
        end = real(self)
        if not mended:
            mended.append(store.storage.write_bytes(key, data))
        return end

    monkeypatch.setattr(RangedDownload, "_first", first)
    advanced = []
    path = tmp_path / "target"
    store.storage.download(key, path, sha256(data) if verified else None, advanced.append)
    assert mended
    assert path.read_bytes() == data
    assert sum(advanced) == len(data)


@pytest.mark.parametrize("fault", FILE_FAULTS)
def test_a_borrower_takes_the_right_one(make_datastore, tmp_path, fault):
    """If the own artifact is damaged and the lender's is not, the lender's is read; keeping it mends."""
    lender = make_datastore("lender")
    publish(lender)
    own = LocalStorage(tmp_path / "own")
    own.write_bytes(KEY, DATA)
    damage(own.local_path(KEY), fault)
    artifacts = BorrowingArtifacts(own, tmp_path / "cache", lender.artifacts)
    assert artifacts.fetch(SHA, len(DATA)).read_bytes() == DATA
    artifacts.keep([{"sha256": SHA, "size": len(DATA)}])
    assert own.read_bytes(KEY) == DATA


# Code packages.


@pytest.fixture
def package(tmp_path):
    """A code package of three files."""
    for name in ("flow.py", "near.py", "part/inner.py"):
        path = tmp_path / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"NAME = '{name}'  # some text\n")
    return code_package.build(tmp_path / "code" / "flow.py")


@pytest.fixture
def code_key(package, storage):
    """The key of the stored package."""
    code_package.publish(storage, package)
    return layout.code_package(package.sha256)


@PROCESSES
@pytest.mark.parametrize("fault", STORED_FAULTS)
def test_preparing_again_mends_a_code_package(storage, package, code_key, fault, process):
    """The run that is started again puts the right bytes there, also those of the same size."""
    spoil(storage, code_key, fault)
    restart(process)
    code_package.publish(storage, package)
    assert storage.read_bytes(code_key) == package.data


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_code_package_is_not_extracted(storage, package, code_key, tmp_path, fault):
    """The error names the key, the place, and what to do."""
    spoil(storage, code_key, fault)
    with pytest.raises(CorruptData) as caught:
        code_package.extract(storage, package.sha256, tmp_path / "cache")
    message = str(caught.value)
    assert message.startswith(
        f"{code_key} in {storage.url} is corrupt: expected sha256 {package.sha256}, got "
    )
    assert message.endswith("Start the run again with the same sources: it replaces the damaged bytes.")


@PROCESSES
@pytest.mark.parametrize("name", ["flow.py", "part/inner.py"])
@pytest.mark.parametrize("fault", [*FILE_FAULTS, "missing"])
def test_damaged_extracted_code_is_put_right(
    storage, package, code_key, tmp_path, said, name, fault, process
):
    """One line names the folder and the file; files that steps wrote there stay, old bytecode goes."""
    folder = code_package.extract(storage, package.sha256, tmp_path / "cache", said.append)
    code_package.extract(storage, package.sha256, tmp_path / "cache", said.append)
    assert said == []
    right = (folder / name).read_bytes()
    (folder / "part" / "output.csv").write_text("1,2")
    (folder / name).with_name("__pycache__").mkdir()
    if fault == "missing":
        (folder / name).unlink()
    else:
        damage(folder / name, fault)
    if process == "another process":
        code_package._compared.clear()
    assert code_package.extract(storage, package.sha256, tmp_path / "cache", said.append) == folder
    assert said == [f"The code package in {folder} is damaged; replacing {name}."]
    assert (folder / name).read_bytes() == right
    assert (folder / "part" / "output.csv").read_text() == "1,2"
    assert not (folder / name).with_name("__pycache__").exists()
    code_package.extract(storage, package.sha256, tmp_path / "cache", said.append)
    assert len(said) == 1


def test_a_folder_of_code_that_became_a_file(storage, package, code_key, tmp_path, said):
    """Both the folder of the package and one inside are made again."""
    folder = code_package.extract(storage, package.sha256, tmp_path / "cache")
    for path in (folder / "part", folder):
        subprocess.run(["rm", "-r", path], check=True)
        path.write_text("no folder")
        code_package.extract(storage, package.sha256, tmp_path / "cache", said.append)
        assert (folder / "part" / "inner.py").read_text() == "NAME = 'part/inner.py'  # some text\n"


@ON_S3  # a local datastore has no download cache
@pytest.mark.parametrize("fault", FILE_FAULTS)
def test_a_damaged_package_in_the_cache_is_fetched_again(storage, package, code_key, tmp_path, said, fault):
    """The copy from which extracted code is mended is verified itself."""
    folder = code_package.extract(storage, package.sha256, tmp_path / "cache")
    copy = tmp_path / "cache" / code_key
    damage(copy, fault)
    damage(folder / "near.py", "overwritten")
    digest.forget()
    code_package.extract(storage, package.sha256, tmp_path / "cache", said.append)
    assert said == [
        f"{copy} is damaged; fetching it again from {storage.url}.",
        f"The code package in {folder} is damaged; replacing near.py.",
    ]
    assert copy.read_bytes() == package.data
    assert (folder / "near.py").read_text() == "NAME = 'near.py'  # some text\n"
