"""Packages are the same for the same input, appear whole, and say what the wheel said."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import zipfile
from pathlib import Path

import pytest

from airflow_conda_flow.channel.conda_archive import CondaPackage, Entry, write_conda
from airflow_conda_flow.channel.interpreters import find_interpreter
from airflow_conda_flow.channel.match_specs import depends, version_spec
from airflow_conda_flow.channel.wheel_package import wheel_package
from airflow_conda_flow.cli.tool import main
from airflow_conda_flow.errors import PackageError

RUNNING = "{}.{}.{}".format(*sys.version_info[:3])


@pytest.fixture(scope="module")
def interpreter():
    """The running interpreter."""
    return find_interpreter(RUNNING)


@pytest.fixture
def make_wheel(tmp_path):
    """Makes a pure wheel with these requirements."""

    def make(*requires: str) -> Path:
        path = tmp_path / "thing-1.0-py3-none-any.whl"
        metadata = "".join(f"Requires-Dist: {text}\n" for text in requires)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("thing.py", "")
            info = "thing-1.0.dist-info"
            archive.writestr(f"{info}/METADATA", f"Name: thing\nVersion: 1.0\n{metadata}\n")
            archive.writestr(f"{info}/WHEEL", "Tag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", f"thing.py,,\n{info}/RECORD,,\n")
        return path

    return make


def test_the_same_input_gives_the_same_bytes(tmp_path, make_wheel, interpreter):
    """Two packages of one wheel have one sha256."""
    wheel = make_wheel("six>=1", "attrs<30", "zipp!=2")
    paths = [write_conda(wheel_package(wheel, interpreter), tmp_path / name) for name in "ab"]
    first, second = (hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    assert first == second


def test_a_package_that_fails_leaves_nothing(tmp_path):
    """A package is there complete, or not at all."""

    def entries():
        yield Entry("a", b"1")
        raise OSError("disk full")

    index = {"name": "a", "version": "1", "build": "0", "subdir": "noarch"}
    with pytest.raises(OSError, match="disk full"):
        write_conda(CondaPackage(index, entries), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_dependencies_of_one_python_pin_it(make_wheel, interpreter):
    """A pure wheel that needs other things on other Pythons is for one minor version."""
    plain = wheel_package(make_wheel("six"), interpreter).index
    assert (plain["build"], plain["depends"]) == ("py_0", ["python", "six"])
    pinned = wheel_package(make_wheel('six; python_version < "3"'), interpreter).index
    assert pinned["build"] == f"py{interpreter.minor.replace('.', '')}_0"
    assert pinned["depends"][0].startswith(f"python >={interpreter.minor},<")


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("Foo_Bar", ["foo-bar"]),
        ("a (>=1.2,<2)", ["a <2,>=1.2"]),
        ("a~=1.4", ["a ~=1.4"]),
        ("a==1.4.*", ["a 1.4.*"]),
        ("a==1.4", ["a ==1.4"]),
        ("a!=1.4.*", ["a !=1.4.*"]),
        ("a>=3.6.*", ["a >=3.6"]),
        ("a[x]>1", ["a >1"]),
        ("a; extra == 'test'", []),
        ("a; sys_platform == 'win32'", []),
        ("a; python_version >= '3'", ["a"]),
    ],
)
def test_requirements_become_match_specs(interpreter, requirement, expected):
    """Requirements of a wheel become specs of conda."""
    assert depends([requirement], interpreter) == expected


def test_no_specifier_is_no_spec():
    """A requirement of any version stays one."""
    assert version_spec("") == ""


def test_a_broken_wheel_is_named(tmp_path, interpreter):
    """A file that is no wheel is a package error with its name."""
    path = tmp_path / "thing-1.0-py3-none-any.whl"
    path.write_bytes(b"no")
    with pytest.raises(PackageError, match=r"thing-1\.0-py3-none-any\.whl is not a wheel"):
        wheel_package(path, interpreter)
    with pytest.raises(PackageError, match=r"thing\.whl has no name of a wheel"):
        wheel_package(tmp_path / "thing.whl", interpreter)


def test_the_index_names_what_was_built(channel):
    """Both versions of each library are in the index, with the file's own sha256."""
    index = json.loads((channel.directory / "noarch" / "repodata.json").read_text())
    records = index["packages.conda"]
    six = {r["version"]: name for name, r in records.items() if r["name"] == "six"}
    assert sorted(six) == ["1.16.0", "1.17.0"]
    data = (channel.directory / "noarch" / six["1.16.0"]).read_bytes()
    assert records[six["1.16.0"]]["sha256"] == hashlib.sha256(data).hexdigest()


def test_a_second_build_adds_and_keeps(tmp_path, capsys):
    """A rerun leaves the files that are there, and adds what is new."""
    command = ["channel", "build", str(tmp_path), "--python", RUNNING]
    assert main([*command, "six==1.16.0"]) == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.conda")}
    assert main([*command, "six==1.17.0", "six==1.16.0"]) == 0
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.conda")}
    assert before.items() <= after.items()
    assert {path.name for path in after.keys() - before.keys()} == {"six-1.17.0-py_0.conda"}
    printed = capsys.readouterr().out
    assert "six-1.16.0-py_0.conda is there already" in printed
    assert printed.endswith(f". Flows use it after\n    export CONDA_CHANNELS={tmp_path.as_uri()}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["build", "{dir}", "--python", "3.99"], r"There is no Python 3.99 .*Found: .*3\."),
        (["build", "{dir}", "--python", RUNNING, "six=1"], "'six=1' is not a requirement"),
        (
            ["build", "{dir}", "--python", RUNNING, "six==0.0.99"],
            r"no wheels for Python .* six==0.0.99(?s:.*)ERROR: ",
        ),
        (["build", "{dir}", "--python-from", "/bin/true"], "/bin/true is not a CPython"),
        (["serve", "{dir}/none"], "There is no channel at"),
    ],
)
def test_failures_end_with_one_message(tmp_path, capsys, words, message):
    """A request that cannot be met is refused in one message, with exit code 1."""
    assert main(["channel", *(word.format(dir=tmp_path) for word in words)]) == 1
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize(
    "words",
    [[], ["channel"], ["channel", "build", "d"], ["channel", "build", "d", "--python", "x"]],
)
def test_usage_errors_end_with_2(capsys, words):
    """A command that is not written right ends with exit code 2."""
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert "Try: airflow-conda-flow" in capsys.readouterr().err
