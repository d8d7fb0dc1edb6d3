"""Packages for one version of Python have bytecode, which Python takes as it is."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import zipfile
from pathlib import Path

import pytest

from airflow_conda_flow.channel.bytecode import with_bytecode
from airflow_conda_flow.channel.conda_archive import Entry, write_conda
from airflow_conda_flow.channel.interpreters import find_interpreter
from airflow_conda_flow.channel.wheel_package import wheel_package
from airflow_conda_flow.errors import ChannelError

MINORS = ["3.6", "3.8", "3.11", "3.13"]
IMPORTS = "import argparse, email.parser, json, logging, subprocess, unittest.mock"


@pytest.fixture(params=MINORS)
def interpreter(request, channel):
    """Each interpreter of the channel."""
    if request.param not in channel.pythons:
        pytest.skip(f"no Python {request.param} on this machine")
    return find_interpreter(channel.pythons[request.param])


@pytest.fixture
def make_wheel(tmp_path, interpreter):
    """A function: a wheel for the interpreter's version on this platform, with these files."""

    def make(**files: bytes) -> Path:
        tag = f"cp{interpreter.minor.replace('.', '')}"
        path = tmp_path / f"thing-1.0-{tag}-{tag}-linux_x86_64.whl"
        info = "thing-1.0.dist-info"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(f"thing/{name}.py", data)
            archive.writestr(f"{info}/METADATA", "Name: thing\nVersion: 1.0\n")
            archive.writestr(f"{info}/WHEEL", f"Tag: {tag}-{tag}-linux_x86_64\n")
            archive.writestr(f"{info}/RECORD", "")
        return path

    return make


def states(prefix: Path) -> dict[Path, tuple[int, int]]:
    """Inode and time of all bytecode."""
    found = {path: path.stat() for path in prefix.rglob("*.pyc")}
    return {path: (status.st_ino, status.st_mtime_ns) for path, status in found.items()}


@pytest.mark.parametrize("minor", MINORS)
def test_python_takes_it(channel, make_prefix, minor):
    """Neither the first start nor a compilation of the whole library writes it again, and one module lacks it."""
    if minor not in channel.pythons:
        pytest.skip(f"no Python {minor} on this machine")
    prefix = make_prefix(channel.url, f"python =={channel.pythons[minor]}")
    before = states(prefix.path)
    assert len(before) > 500
    prefix.python(IMPORTS)
    prefix.run("python", "-m", "compileall", "-q", str(prefix.path / "lib"))
    after = states(prefix.path)
    assert before.items() <= after.items()
    (added,) = after.keys() - before.keys()
    assert added.name.startswith("_sysconfigdata"), "installing puts the prefix in it"


def test_python_takes_it_of_files_that_were_copied(channel, make_prefix, tmp_path):
    """Where a prefix is on another file system than the packages, files are copied, with their times."""
    places = [Path("/dev/shm"), Path(__file__).parents[3] / ".cache"]
    others = [each for each in places if each.is_dir() and each.stat().st_dev != tmp_path.stat().st_dev]
    if not others:
        pytest.skip("this machine has one file system")
    folder = Path(tempfile.mkdtemp(dir=others[0]))
    try:
        prefix = make_prefix(channel.url, f"python =={channel.python}", path=folder / "prefix")
        assert (
            prefix.path / "lib" / "python{}.{}".format(*channel.python.split(".")) / "json" / "decoder.py"
        ).stat().st_nlink == 1
        before = states(prefix.path)
        prefix.python(IMPORTS)
        assert states(prefix.path) == before
    finally:
        shutil.rmtree(folder)


def test_a_library_has_it(channel, make_prefix):
    """The first import of a compiled library writes no bytecode of it."""
    prefix = make_prefix(channel.url, f"python =={channel.python}", "numpy ==1.26.4")
    before = states(prefix.path)
    prefix.python("import numpy.linalg, numpy.fft")
    assert states(prefix.path) == before


def test_a_traceback_names_the_file_in_the_prefix(channel, make_prefix):
    """Modules are compiled before it is known where they will be."""
    prefix = make_prefix(channel.url, f"python =={channel.python}")
    code = (
        "import json, traceback\ntry:\n json.loads('x')\nexcept ValueError:\n print(traceback.format_exc())"
    )
    printed = prefix.python(code)
    files = re.findall(r'File "(.*?)"', printed)[1:]
    assert len(files) == 3
    assert all(Path(file).is_relative_to(prefix.path) and Path(file).is_file() for file in files)
    assert "raise JSONDecodeError" in printed


def test_the_same_wheel_gives_the_same_bytes(make_wheel, interpreter, tmp_path):
    """Constants that Python writes in an order that differs between its processes are no exception."""
    wheel = make_wheel(
        names=b"def f(x): return x in {'a', 'b', 'c', 'd', 'e', 'f', b'g', 1, 2.0}",
        none=b"def f(x): return x in {None, 'a', 'b', 'c', 'd', ('e', None)}",
    )
    digests = {
        hashlib.sha256(
            write_conda(wheel_package(wheel, interpreter), tmp_path / name).read_bytes()
        ).hexdigest()
        for name in "abcd"
    }
    assert len(digests) == 1


def test_files_that_do_not_compile_have_none(make_wheel, interpreter):
    """Templates, tests of syntax errors and files in no encoding are packed as they are."""
    wheel = make_wheel(
        good=b"x = 1", template=b"x = {{ 1 }", none=b"x = '\0'", other=b"x = '\xff'", empty=b""
    )
    entries = [entry.path for entry in wheel_package(wheel, interpreter).read_entries()]
    assert len(entries) == len(set(entries))
    compiled = {path.rpartition("/")[2].partition(".")[0] for path in entries if path.endswith(".pyc")}
    assert {"good", "empty"} <= compiled <= {"good", "empty", "none"}, "some versions allow a zero byte"
    assert {"good.py", "template.py", "none.py", "other.py", "empty.py"} <= {
        Path(each).name for each in entries
    }


def test_files_that_change_when_they_are_installed_have_none(interpreter):
    """Nor have links, and scripts outside of the library."""
    library = f"lib/python{interpreter.minor}"
    entries = [
        Entry(f"{library}/build.py", b"where = '/opt/placeholder'", placeholder="/opt/placeholder"),
        Entry(f"{library}/link.py", link="build.py"),
        Entry("bin/tool.py", b"x = 1"),
        Entry("lib/other/module.py", b"x = 1"),
    ]
    assert list(with_bytecode(entries, interpreter)) == entries


def test_bytecode_that_a_wheel_brings_is_replaced(interpreter):
    """It names the time that its source had elsewhere."""
    tag = f"cpython-{interpreter.minor.replace('.', '')}"
    library = f"lib/python{interpreter.minor}"
    own = Entry(f"{library}/__pycache__/a.{tag}.pyc", b"of another machine")
    source, compiled = with_bytecode([Entry(f"{library}/a.py", b"x = 1"), own], interpreter)
    assert source.data == b"x = 1"
    assert compiled.path == own.path
    assert compiled.data != own.data


def test_an_interpreter_that_fails_is_named(interpreter, tmp_path):
    """One line has its path and its last words."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\ncat >/dev/null\necho first >&2\necho no memory >&2\nexit 3\n")
    program.chmod(0o755)
    broken = type(interpreter)(program, interpreter.version, tmp_path, tmp_path, "")
    entry = Entry(f"lib/python{interpreter.minor}/a.py", b"x = 1")
    with pytest.raises(ChannelError, match=rf"^{program} cannot compile .* ended with 3: no memory$"):
        list(with_bytecode([entry], broken))
