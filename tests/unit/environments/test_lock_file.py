"""The lock file beside a flow: what is written is read, and whatever else it may hold is one clear line."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import pytest
import rattler
import yaml

from airflow_conda_flow.environments.lock import Lock, LockedPackage
from airflow_conda_flow.environments.lock_file import (
    LockedEnvironment,
    make_lock_file,
    read_lock_file,
    write_lock_file,
)
from airflow_conda_flow.environments.rattler_lock_file import read_pixi_lock, write_pixi_lock
from airflow_conda_flow.environments.requested import EnvironmentRequest
from airflow_conda_flow.environments.solve.pinned import pypi_package
from airflow_conda_flow.errors import FlowDefinitionError, SettingError

URL = "https://host/channel"
REQUEST = EnvironmentRequest("3.11.*", {"numpy": ">=1.26,<2", "other::six": ""}, {"Humanize[x]": ">=4"})
VIRTUAL = {"__glibc": "2.28", "__unix": "0"}
COMMAND = "python flows/a_flow.py environment lock"
ADVICE = f"Write it anew: {COMMAND}"


def conda(name, version, subdir="linux-64", **changes):
    """A conda package."""
    package = LockedPackage(
        name=name,
        version=version,
        build="h1234_2",
        build_number=2,
        subdir=subdir,
        url=f"{URL}/{subdir}/{name}-{version}-h1234_2.conda",
        sha256="ab" * 32,
        size=17,
        channel=URL,
        depends=("libc >=2.17", "python >=3.11,<3.12.0a0"),
        noarch="python" if subdir == "noarch" else None,
        python_site_packages_path=None,
        stated=False,
    )
    return replace(package, **changes)


PACKAGES = (
    conda("python", "3.11.7", python_site_packages_path="lib/python3.11t/site-packages"),
    conda("numpy", "1.26.4"),
    conda("six", "1!1.17", "noarch"),
    conda("tzdata", "2024a", "noarch", noarch="generic", depends=(), build="0", build_number=7),
    conda("local", "1", url="file:///srv/a%20b/noarch/local-1-h1234_2.conda", channel="file:///srv/a%20b"),
    pypi_package(
        "humanize", "4.9.0", "https://files/humanize-4.9.0-py3-none-any.whl", "cd" * 32, 5, stated=True
    ),
    pypi_package("other", "1", "https://files/other-1-py3-none-any.whl", "ef" * 32, 5, stated=True),
)


@pytest.fixture
def flow_file(tmp_path):
    """The path of a flow file."""
    return tmp_path / "a_flow.py"


@pytest.fixture
def write(flow_file):
    """A function: a written lock file with these packages for one request on two platforms, and one more."""

    def write(packages=PACKAGES, request=REQUEST):
        locks = {name: Lock("", name, tuple(packages)) for name in ("linux-64", "osx-arm64")}
        virtual = dict.fromkeys(locks, VIRTUAL)
        file = make_lock_file(
            flow_file,
            [
                LockedEnvironment("start", request.to_dict(), (URL, "file:///srv/a%20b"), virtual, locks),
                LockedEnvironment(
                    "end", {}, (URL,), {"linux-64": VIRTUAL}, {"linux-64": Lock("", "linux-64", PACKAGES[:1])}
                ),
            ],
        )
        write_lock_file(file)
        return file

    return write


def test_what_is_written_is_read(write, flow_file):
    """Everything that installing needs, and what was asked for; the same content gives the same text."""
    written = write()
    read = read_lock_file(flow_file, COMMAND)
    assert read == written
    assert [each.name for each in read.environments] == ["start", "end"]
    assert read.environments[0].channels == (URL, "file:///srv/a%20b")
    lock = read.find(REQUEST).locks["osx-arm64"]
    sizes = {each.name: 0 for each in PACKAGES if each.kind == "pypi"}  # the format has none for wheels
    stated = {"python", "numpy", "six", "humanize"}
    assert lock == Lock.of_packages(
        "osx-arm64",
        [
            replace(each, size=sizes.get(each.name, each.size), stated=each.name in stated)
            for each in PACKAGES
        ],
    )
    assert lock.python == "3.11.7"
    (python,) = read.find(EnvironmentRequest()).locks.values()
    assert (python.platform, python.python) == ("linux-64", "3.11.7")
    assert read.find(EnvironmentRequest("3.11.7")) is None
    assert read.platforms == ["linux-64", "osx-arm64"]
    assert make_lock_file(flow_file, read.environments).text == read.text
    assert [path.name for path in flow_file.parent.iterdir()] == ["a_flow.lock"]


@pytest.mark.parametrize("name", [b"caf\xe9.py", "caf\u00e9.py".encode(), b"a\nb.py", b"a\rb: c #.py"])
def test_the_name_of_the_flow_file_is_any(tmp_path, name):
    """It is in a comment at the top."""
    flow_file = tmp_path / os.fsdecode(name)
    locks = {"linux-64": Lock("", "linux-64", PACKAGES)}
    written = make_lock_file(
        flow_file, [LockedEnvironment("start", {}, (URL,), {"linux-64": VIRTUAL}, locks)]
    )
    write_lock_file(written)
    assert read_lock_file(flow_file, COMMAND) == written
    assert written.text.splitlines()[1] == "version: 7"


def test_pixi_reads_it(write):
    """Its own library finds all packages, each with its sha256."""
    file = rattler.LockFile.from_path(write().path)
    found = {
        (name, str(platform), package.name): package.hashes.sha256.hex()
        for name, environment in file.environments()
        for platform in environment.platforms()
        for package in environment.packages(platform)
    }
    expected = {
        ("start", platform, each.name): each.sha256
        for platform in ("linux-64", "osx-arm64")
        for each in PACKAGES
    }
    assert found == {**expected, ("end", "linux-64", "python"): PACKAGES[0].sha256}


def test_an_export_for_pixi_has_the_hashes_of_wheels(tmp_path):
    """It is a complete list, with conda's packages and wheels, for ``@conda(file=...)`` too."""
    write_pixi_lock(Lock("ab", "linux-64", PACKAGES), tmp_path / "pixi.lock")
    found = read_pixi_lock(tmp_path / "pixi.lock", "linux-64")
    assert {(each.url, each.sha256) for each in found} == {(each.url, each.sha256) for each in PACKAGES}


def test_a_pixi_lock_without_a_hash(tmp_path):
    """A wheel that cannot be verified is refused in one line."""
    path = tmp_path / "pixi.lock"
    write_pixi_lock(Lock("ab", "linux-64", PACKAGES), path)
    path.write_text(_without_hash(path.read_text()))
    with pytest.raises(
        FlowDefinitionError, match=r"It names https://files/humanize.*, which is not an archive with a"
    ):
        read_pixi_lock(path, "linux-64")


def test_a_lock_file_is_no_environment_file(write):
    """It has no default environment, which ``@conda(file=...)`` would take."""
    with pytest.raises(
        FlowDefinitionError, match=r"Its default environment has nothing for linux-64.*: none\."
    ):
        read_pixi_lock(write().path, "linux-64")


def test_another_lock_of_the_same_request_is_another_environment(write):
    """A build that differs, a wheel that differs, a platform: each has an id of its own."""
    numpy = replace(PACKAGES[1], sha256="12" * 32)
    wheel = replace(PACKAGES[-1], sha256="34" * 32)
    files = [write(), write([PACKAGES[0], numpy, *PACKAGES[2:]]), write([*PACKAGES[:-1], wheel])]
    ids = {file.find(REQUEST).locks[name].spec_id for file in files for name in ("linux-64", "osx-arm64")}
    assert len(ids) == 6
    assert all(re.fullmatch("[0-9a-f]{64}", each) for each in ids)
    assert write().find(REQUEST).locks["linux-64"] == files[0].find(REQUEST).locks["linux-64"]


def test_a_request_is_its_words():
    """Order does not count, what is empty is left out, and a list counts by its content."""
    one = EnvironmentRequest("3.11", {"a": "1", "b": ""}, {}, ("c",))
    other = EnvironmentRequest("3.11", {"b": "", "a": "1"}, {}, ("c",))
    assert (
        one.to_dict()
        == other.to_dict()
        == {"python": "3.11", "libraries": {"a": "1", "b": ""}, "channels": ["c"]}
    )
    assert EnvironmentRequest().to_dict() == {}


def test_no_lock_file(flow_file):
    """It is none, which is no error."""
    assert read_lock_file(flow_file, COMMAND) is None


def _merged(text):
    return text.replace("\nenvironments:\n", "\n<<<<<<< HEAD\nenvironments:\n=======\n>>>>>>> other\n")


def _without_section(text):
    content = yaml.safe_load(text)
    del content["airflow-conda-flow"]
    return yaml.safe_dump(content)


def _without_hash(text):
    return re.sub(r"  sha256: cd.*\n", "", text)


CHANGED = "The lock file was changed after it was written: see the environment start."
DAMAGES = {
    "conflicts of a merge": (_merged, "The lock file has conflicts of a merge that nobody resolved."),
    "an empty file": (
        lambda _text: "",
        "It is not the lock file of a flow: it has no section airflow-conda-flow.",
    ),
    "another YAML": (lambda _text: "- a\n", "It is not the lock file of a flow: it has no section"),
    "no YAML": (lambda text: text + "\n  - {\n", "The lock file is damaged: "),
    "a lock file of pixi": (_without_section, "It is not the lock file of a flow: it has no section"),
    "half a file": (lambda text: text[: len(text) // 2], "The lock file "),
    "another sha256": (lambda text: text.replace("ab" * 32, "ac" * 32, 1), "The lock file was changed"),
    "another version": (lambda text: text.replace("numpy-1.26.4-", "numpy-1.26.3-"), CHANGED),
    "another request": (lambda text: text.replace(">=1.26,<2", ">=1.26,<3"), CHANGED),
    "another wheel": (lambda text: text.replace("humanize-4.9.0", "humanize-4.9.1"), CHANGED),
    "a package less": (
        lambda text: re.sub(r"      - conda: .*tzdata.*\n", "", text, count=1),
        "The lock file was",
    ),
    "a wheel without a hash": (_without_hash, "The lock file is damaged: It names https://files/humanize"),
    "a package that leads out of its folder": (
        lambda text: text.replace("name: humanize", "name: ../humanize"),
        "The lock file is damaged: ",
    ),
    "an environment less": (
        lambda text: text.replace("\nenvironments:\n  end:", "\nenvironments:\n  other:"),
        "The lock file was changed after it was written: see the environment end, other.",
    ),
    "an entry that is none": (
        lambda text: text.replace("      asked:\n        python", "      asket:\n        python"),
        CHANGED,
    ),
    "a package from another channel": (
        lambda text: text.replace(f"{URL}/linux-64/numpy", "https://other/linux-64/numpy"),
        CHANGED,
    ),
    "another build": (lambda text: text.replace("h1234_2", "h1234_3"), "The lock file was changed"),
    "other dependencies": (
        lambda text: text.replace("libc >=2.17", "libc >=2.28"),
        "The lock file was changed",
    ),
    "another platform": (lambda text: text.replace("osx-arm64", "osx-64"), "The lock file was changed"),
    "a platform that nobody has": (
        lambda text: text.replace("osx-arm64", "beos-32"),
        "The lock file is damaged: failed to parse ''beos-32' is not a known subdir.",
    ),
    "conda packages without a hash": (
        lambda text: re.sub(r"  sha256: ab.*\n", "", text),
        "The lock file is damaged: It names https://host/channel/linux-64/python-3.11.7-h1234_2.conda, which",
    ),
    "half a hash": (lambda text: text.replace("ab" * 32, "ab" * 16), "The lock file is damaged: "),
    "a key twice": (lambda text: text + "version: 6\n", "The lock file is damaged: duplicate entry"),
    "conflicts of a merge, with CRLF": (
        lambda text: _merged(text).replace("\n", "\r\n"),
        "The lock file has conflicts of a merge that nobody resolved.",
    ),
    "a value that its tag does not allow": (
        lambda text: text + "x: !!timestamp zz\n",
        "The lock file is damaged: it is not valid YAML.",
    ),
    "a number of 5,000 digits": (lambda text: f"{text}x: {'9' * 5000}\n", "The lock file is damaged: "),
    "an object of Python": (
        lambda text: text + "x: !!python/object:os.system a\n",
        "The lock file is damaged: ",
    ),
    "UTF-16": (lambda text: text.encode("utf-16"), "The lock file cannot be read: it is not UTF-8."),
    "tabs": (lambda text: text.replace("  ", "\t"), "The lock file is damaged: "),
    "a zero byte": (lambda text: text.replace("numpy", "num\0py"), "The lock file is damaged: "),
    "brackets": (lambda _text: "[" * 5000, "The lock file is damaged: "),
    "no bytes of text": (lambda _text: b"\xff\xfe", "The lock file cannot be read: it is not UTF-8."),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_lock_file_that_is_not_as_it_was_written(write, flow_file, name):
    """One line: the file, what is wrong, and the command to write; the merge's line where it is known."""
    change, message = DAMAGES[name]
    file = write()
    damaged = change(file.text)
    assert damaged != file.text
    file.path.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    with pytest.raises(FlowDefinitionError) as caught:
        read_lock_file(flow_file, COMMAND)
    assert caught.value.file == str(file.path)
    assert caught.value.message.startswith(message)
    assert caught.value.message.endswith(ADVICE)
    assert "\n" not in caught.value.message
    if "merge" in name:
        line = caught.value.line
        assert damaged.splitlines()[line - 1] == "<<<<<<< HEAD"


SAME = {
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "a byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "a comment": lambda text: b"# reviewed\n" + text.encode(),
    "a package that an environment names twice": lambda text: re.sub(
        r"(      - conda: .*numpy.*\n)", r"\1\1", text, count=1
    ).encode(),
    "a digest in capitals": lambda text: text.replace("ab" * 32, "AB" * 32).encode(),
}


@pytest.mark.parametrize("name", SAME)
def test_a_lock_file_that_says_the_same(write, flow_file, name):
    """Editors and git change line ends and more; what is installed stays."""
    file = write()
    changed = SAME[name](file.text)
    assert changed != file.text.encode()
    file.path.write_bytes(changed)
    assert read_lock_file(flow_file, COMMAND).environments == file.environments


def test_what_is_no_file(flow_file, write):
    """A directory in its place is said to be one, on reading and on writing."""
    (flow_file.parent / "a_flow.lock").mkdir()
    with pytest.raises(
        FlowDefinitionError, match=r"a_flow\.lock: The lock file cannot be read: Is a directory"
    ):
        read_lock_file(flow_file, COMMAND)
    with pytest.raises(SettingError, match=r"The lock file .*a_flow\.lock cannot be written: Is a directory"):
        write()


def test_a_newer_version(write, flow_file):
    """It is not damaged, and not to be written over."""
    file = write()
    file.path.write_text(file.text.replace("  version: 1\n", "  version: 2\n", 1))
    with pytest.raises(SettingError, match=r"a_flow\.lock has version 2, .* Upgrade airflow-conda-flow\."):
        read_lock_file(flow_file, COMMAND)


def test_a_symbolic_link_stays_one(write, flow_file, tmp_path):
    """The file that it points to is written."""
    real = tmp_path / "real" / "locked.lock"
    real.parent.mkdir()
    (tmp_path / "a_flow.lock").symlink_to(real)
    write()
    assert (tmp_path / "a_flow.lock").is_symlink()
    assert real.read_text() == read_lock_file(flow_file, COMMAND).text
