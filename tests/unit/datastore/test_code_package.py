"""Code packages: the sources beside a flow file, the same bytes everywhere."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import warnings
import zipfile
from typing import TYPE_CHECKING

import pytest

from airflow_conda_flow.datastore import code_package, layout
from airflow_conda_flow.datastore.datastore import open_datastore
from airflow_conda_flow.errors import CorruptData, DatastoreError, NotInDatastore

if TYPE_CHECKING:
    from pathlib import Path

KEPT = ("flow.py", "near.py", "build/made.py", "package/__init__.py", "package/sub/deep.py")
LEFT_OUT = (
    "data.csv",
    ".hidden/x.py",
    ".hidden.txt",
    "__pycache__/near.cpython-311.py",
    "package/__pycache__/x.py",
    "venv/lib/x.py",
    "venv/pyvenv.cfg",
    "site-packages/x.py",
    "node_modules/x.py",
    "prefix/conda-meta/history",
    "prefix/lib/python3.11/x.py",
    "cache/CACHEDIR.TAG",
    "cache/code/abc/x.py",
    "store/x.py",
)


@pytest.fixture
def make_tree(tmp_path):
    """Makes a directory with these files; the path of its flow.py."""

    def make(*names: str, at: str = "tree") -> Path:
        for name in names:
            path = tmp_path / at / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"NAME = {name!r}\n")
        return tmp_path / at / "flow.py"

    return make


def names_in(package):
    """The names in a package."""
    return zipfile.ZipFile(io.BytesIO(package.data)).namelist()


def test_what_is_packed(make_tree):
    """Sources beside the flow and below are packed; environments, caches and the hidden are not."""
    flow_file = make_tree(*KEPT, *LEFT_OUT)
    package = code_package.build(flow_file, exclude=[flow_file.parent / "store"])
    assert names_in(package) == sorted(KEPT)
    assert package.flow_file == "flow.py"


def test_compiled_modules_are_named(make_tree, tmp_path):
    """Those that are left out, also of modules elsewhere; not where environments are, nor if asked for."""
    flow_file = make_tree("flow.py", "fast.abi3.so", "env/pyvenv.cfg", "env/lib/other.so")
    make_tree("__init__.py", "deep/_part.cpython-311-x86_64-linux-gnu.so", at="company")
    modules = {"company": tmp_path / "company"}
    compiled = ("fast.abi3.so", "company/deep/_part.cpython-311-x86_64-linux-gnu.so")
    assert code_package.build(flow_file, modules=modules).compiled == compiled
    shipped = code_package.build(flow_file, suffixes=(".so",), modules=modules)
    assert not shipped.compiled
    assert set(compiled) <= set(names_in(shipped))


def test_other_files_that_are_asked_for(make_tree):
    """By their endings, where sources would be, and nowhere else; they count as sources do."""
    flow_file = make_tree(*KEPT, *LEFT_OUT, "package/query.sql")
    package = code_package.build(flow_file, [flow_file.parent / "store"], (".sql", ".csv"))
    assert names_in(package) == sorted([*KEPT, "package/query.sql", "data.csv"])


def test_the_lock_file_is_packed(make_tree):
    """That of the flow file, and no other one."""
    flow_file = make_tree("flow.py", "other.py", "flow.lock", "other.lock", "package/flow.lock")
    assert names_in(code_package.build(flow_file)) == ["flow.lock", "flow.py", "other.py"]


def test_cache_directories_are_tagged(make_tree):
    """A cache directory beside the flow file is left out without being named."""
    flow_file = make_tree("flow.py")
    cache = open_datastore("local", flow_file.parent / "root", flow_file.parent / "c").cache_dir
    (cache / "code").mkdir()
    (cache / "code" / "old.py").write_text("")
    assert names_in(code_package.build(flow_file)) == ["flow.py"]


def test_same_sources_same_bytes(make_tree):
    """Order, times, modes and place of the files do not matter."""
    one = make_tree(*KEPT)
    other = make_tree(*reversed(KEPT), at="elsewhere")
    other.chmod(0o755)
    os.utime(other, (1, 1))
    assert code_package.build(one) == code_package.build(other)


def test_digest_is_a_contract(make_tree):
    """The bytes of a package are the same on every machine and Python."""
    package = code_package.build(make_tree("flow.py"))
    assert package.sha256 == hashlib.sha256(package.data).hexdigest()
    assert package.sha256 == "4ac1dcc2c110bbe70999f21da7aba71da153cc2d1a2e03f2e9c10d79d6807403"


def test_links(make_tree):
    """A linked directory is packed as what it links to; one that leads back up ends."""
    flow_file = make_tree("flow.py", "package/a.py")
    make_tree("shared.py", at="outside")
    (flow_file.parent / "linked").symlink_to(flow_file.parent.parent / "outside")
    (flow_file.parent / "package" / "up").symlink_to(flow_file.parent)
    package = code_package.build(flow_file)
    assert names_in(package) == ["flow.py", "linked/shared.py", "package/a.py"]


def test_broken_link(make_tree):
    """A link to nothing is left out: it cannot be imported here either."""
    flow_file = make_tree("flow.py")
    (flow_file.parent / "gone.py").symlink_to("nowhere")
    assert names_in(code_package.build(flow_file)) == ["flow.py"]


def test_unreadable_file(make_tree, monkeypatch):
    """A source that cannot be read is an error that names it."""
    flow_file = make_tree("flow.py", "secret.py")
    real = open

    def refuse(path, *args, **more):
        if str(path).endswith("secret.py"):
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **more)

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(DatastoreError, match=r"secret.py cannot be read .*: Permission denied"):
        code_package.build(flow_file)


def test_a_name_that_is_no_text(make_tree):
    """A zip archive cannot have it; the error names the file."""
    flow_file = make_tree("flow.py", os.fsdecode(b"caf\xe9.py"))
    with pytest.raises(DatastoreError, match=r"caf\udce9\.py cannot be in the code package of .*: its name"):
        code_package.build(flow_file)


@pytest.mark.parametrize(
    ("limit", "value", "what"),
    [
        ("MAX_FILES", 5, "more than 5 .py, .sql files"),
        ("MAX_BYTES", 2**20, "more than 1 MB of .py, .sql files"),
        ("MAX_ENTRIES", 5, "more than 5 files and directories"),
    ],
)
def test_too_large(make_tree, monkeypatch, limit, value, what):
    """Far more than source code is an error that names the largest directories and what to do."""
    flow_file = make_tree("flow.py", *(f"generated/{number}.py" for number in range(10)))
    (flow_file.parent / "generated" / "0.py").write_text("#" * 2**20)
    monkeypatch.setattr(code_package, limit, value)
    with pytest.raises(DatastoreError) as caught:
        code_package.build(flow_file, suffixes=[".sql"])
    message = str(caught.value)
    assert message.startswith(f"The code package of {flow_file.parent} is too large: {what}.")
    assert "Largest so far: generated/ (" in message
    assert "Move the flow file into a directory of its own" in message


def extracted(folder):
    """The names in a cache of code packages, without the packages themselves."""
    return [path.name for path in folder.glob("*") if path.suffix != ".zip"]


def test_extract(datastore, make_tree, tmp_path):
    """Another machine gets the same tree, once."""
    package = code_package.build(make_tree(*KEPT))
    code_package.publish(datastore.storage, package)
    folder = code_package.extract(datastore.storage, package.sha256, tmp_path / "other")
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == set(KEPT)
    assert (folder / "near.py").read_text() == "NAME = 'near.py'\n"
    inode = folder.stat().st_ino
    again = code_package.extract(datastore.storage, package.sha256, tmp_path / "other")
    assert again.stat().st_ino == inode
    assert extracted(folder.parent) == [package.sha256]


def test_publish_twice(datastore, make_tree):
    """A package that is there is not written again; one that was cut short is."""
    package = code_package.build(make_tree(*KEPT))
    key = layout.code_package(package.sha256)
    for damage in (package.data[:100], package.data):
        datastore.storage.write_bytes(key, damage)
        code_package.publish(datastore.storage, package)
        assert datastore.storage.read_bytes(key) == package.data


def test_missing_package(storage, tmp_path):
    """A package that is not there is NotInDatastore."""
    with pytest.raises(NotInDatastore, match="There is no code package code/"):
        code_package.extract(storage, "ab" * 32, tmp_path)


def test_corrupt_package(storage, make_tree, tmp_path):
    """A package whose bytes do not match is CorruptData, and nothing is extracted."""
    package = code_package.build(make_tree(*KEPT))
    storage.write_bytes(layout.code_package(package.sha256), package.data + b"?")
    with pytest.raises(CorruptData, match=f"expected sha256 {package.sha256}, got "):
        code_package.extract(storage, package.sha256, tmp_path / "cache")
    assert not (tmp_path / "cache" / "code" / package.sha256).exists()


def zipped(*entries, compression=zipfile.ZIP_STORED):
    """A zip of (name, content) pairs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name twice
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def lying(data):
    """The zip with another size in its directory than its file has."""
    place = data.rindex(b"PK\x01\x02") + 20
    return data[:place] + (2**31).to_bytes(4, "little") * 2 + data[place + 8 :]


def nowhere(data):
    """The zip with a directory that says to be larger than it is: its files would begin before the zip does."""
    place = data.rindex(b"PK\x05\x06") + 12
    return data[:place] + data[place : place + 4] + (2**20).to_bytes(4, "little") + data[place + 8 :]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (zipped(("/etc/x.py", "")), "it holds the unsafe name '/etc/x.py'"),
        (zipped(("../x.py", "")), "it holds the unsafe name '../x.py'"),
        (zipped(("a/../../x.py", "")), "it holds the unsafe name"),
        (zipped(("a\\..\\x.py", "")), "it holds the unsafe name"),
        (zipped(("a//x.py", "")), "it holds the unsafe name"),
        (zipped(("./x.py", "")), "it holds the unsafe name './x.py'"),
        (zipped(("x.py", "good"), ("x.py", "evil")), "it holds the name 'x.py' twice"),
        (zipped(("a", ""), ("a/x.py", "")), "'a/x.py' is below one of its files"),
        (zipped(("x.py", bytes(10**6)), compression=zipfile.ZIP_DEFLATED), "'x.py' is compressed"),
        (lying(zipped(("x.py", "good"))), "it holds more than 20,000 files or 200 MB"),
        (None, "it holds more than 20,000 files"),
        (b"no zip at all", "File is not a zip file"),
        (b"", "File is not a zip file"),
        (zipped(("x.py", "good"))[:-30], "File is not a zip file"),
        (zipped(("x.py", "good")).replace(b"good", b"evil", 1), "Bad CRC-32"),
        (nowhere(zipped(("x.py", "good"))), "its directory has no place for 'x.py'"),
        (zipped(("x", "good")).replace(b"x", b"\0"), "it holds the unsafe name ''"),
    ],
    ids=range(17),
)
def test_what_is_no_code_package(tmp_path, data, fault):
    """It is refused, although its digest is right, and nothing of it is left."""
    if data is None:  # half a second's work, which is no part of a module's import
        data = zipped(*((f"{n}.py", "") for n in range(20_001)))
    storage = open_datastore("local", tmp_path / "root", tmp_path / "cache").storage
    digest = hashlib.sha256(data).hexdigest()
    storage.write_bytes(layout.code_package(digest), data)
    with pytest.raises(CorruptData, match="is not a code package: ") as caught:
        code_package.extract(storage, digest, tmp_path / "cache")
    assert fault in str(caught.value)
    assert extracted(tmp_path / "cache" / "code") == []
    assert not list(tmp_path.rglob("x.py"))


def test_processes_extract_at_once(datastore_root, datastore, make_tree, tmp_path):
    """Processes that extract one package at once all get the whole of it."""
    package = code_package.build(make_tree("flow.py", *(f"p/{n}.py" for n in range(300))))
    code_package.publish(datastore.storage, package)
    code = (
        "import os, sys\n"
        "from airflow_conda_flow.datastore import code_package\n"
        "from airflow_conda_flow.datastore.datastore import open_datastore\n"
        "storage = open_datastore(*sys.argv[1:3], sys.argv[3]).storage\n"
        "folder = code_package.extract(storage, sys.argv[4], sys.argv[3])\n"
        "assert len(os.listdir(folder / 'p')) == 300\n"
    )
    cache = str(tmp_path / "other")
    command = [sys.executable, "-c", code, *datastore_root, cache, package.sha256]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert extracted(tmp_path / "other" / "code") == [package.sha256]


@pytest.mark.parametrize(
    "edit",
    [
        lambda path: path.write_text("y = 2\n"),
        lambda path: path.write_bytes(b"x = '\xff"),
        lambda path: path.unlink(),
    ],
    ids=["edited", "half saved", "deleted"],
)
def test_a_file_that_was_read_is_packed_as_it_was(make_tree, edit):
    """Whatever has become of it since, with the encoding that it states."""
    flow_file = make_tree("flow.py", "other.py")
    text = "# coding: latin-1\nx = 'caf\xe9'\n"
    flow_file.write_text(text, encoding="latin-1")
    before = code_package.build(flow_file)
    assert code_package.build(flow_file, read={str(flow_file): text}) == before
    edit(flow_file)
    assert code_package.build(flow_file, read={str(flow_file): text}) == before


def test_a_flow_within_a_package(make_tree):
    """Packed is what the package is imported from; of a directory of installed libraries, that package alone."""
    names = ["other.py", "pkg/__init__.py", "pkg/flows/flow.lock", "pkg/flows/flow.py", "pkg/near.py"]
    make_tree(*names)
    root = make_tree("flow.py").parent
    (root / "flow.py").unlink()
    package = code_package.build(root / "pkg/flows/flow.py", root=root)
    assert package.flow_file == "pkg/flows/flow.py"
    assert names_in(package) == names
    installed = make_tree(*names, at="lib/site-packages").parent
    package = code_package.build(installed / "pkg/flows/flow.py", root=installed)
    assert package.flow_file == "pkg/flows/flow.py"
    assert names_in(package) == names[1:]
