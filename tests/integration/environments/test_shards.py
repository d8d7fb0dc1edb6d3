"""Solves with shards: the lock is the one of repodata.json, whatever a server does with the shards."""

from __future__ import annotations

import bz2
import functools
import gc
import http.server
import io
import json
import os
import tarfile
import threading
import zipfile

import pytest
import rattler
import zstandard

from airflow_conda_flow.channel.index_files import index_channel
from airflow_conda_flow.environments.credentials import Credentials
from airflow_conda_flow.environments.solve.rattler import RattlerSolver
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.errors import ChannelError, SolveError

INDEX = "repodata_shards.msgpack.zst"
OLD = 1_600_000_000  # a time of modification, years ago: caches take such a file for unchanged for months


class Server(http.server.ThreadingHTTPServer):
    """A server of a directory that behaves as ``python -m http.server``, and as it is told to.

    Attributes:
        directory: what it serves.
        paths: of all requests so far.
        answers: by a part of the path: a status, or the body of a 200.
        extra: headers of every answer.
    """

    daemon_threads = True

    def __init__(self, directory) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(_Handler, directory=str(directory)))
        self.directory = directory
        self.paths: list[str] = []
        self.answers: dict[str, int | bytes] = {}
        self.extra: dict[str, str] = {}
        self.url = f"http://127.0.0.1:{self.server_port}"

    @property
    def has_sent_all(self) -> bool:
        """Whether a client asked for repodata.json since the last call."""
        paths, self.paths = self.paths, []
        assert paths
        return any("repodata.json" in each for each in paths)


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass

    def end_headers(self) -> None:
        for name, value in self.server.extra.items():
            self.send_header(name, value)
        super().end_headers()

    def send_head(self):
        self.server.paths.append(self.path)
        answer = next((each for part, each in self.server.answers.items() if part in self.path), None)
        if answer is None:
            return super().send_head()
        if isinstance(answer, int):
            self.send_error(answer)
            return None
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        return io.BytesIO(answer)


class Channel:
    """A channel that a test fills with packages without content."""

    def __init__(self, directory) -> None:
        self.directory = directory

    def add(self, name, version, *depends, subdir="linux-64", build="0", kind=".conda", **index) -> None:
        """Add a package; the channel has to be indexed afterwards."""
        content = {"name": name, "version": version, "build": build, "build_number": 0, "subdir": subdir}
        content |= {"depends": list(depends), "timestamp": 1_700_000_000_000, **index}
        info = io.BytesIO()
        with tarfile.open(fileobj=info, mode="w") as tar:
            for file_name, value in (("index", content), ("run_exports", {"weak": [f"{name} >={version}"]})):
                data = json.dumps(value).encode()
                member = tarfile.TarInfo(f"info/{file_name}.json")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        stem = f"{name}-{version}-{build}"
        path = self.directory / subdir / f"{stem}{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == ".tar.bz2":
            path.write_bytes(bz2.compress(info.getvalue()))
            return
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
            archive.writestr(f"pkg-{stem}.tar.zst", zstandard.compress(b"\0" * 10240))
            archive.writestr(f"info-{stem}.tar.zst", zstandard.compress(info.getvalue()))

    def index(self, modified=OLD) -> None:
        """Index the packages; the index has this time of modification."""
        index_channel(self.directory)
        for path in self.directory.glob("*/repodata*"):
            os.utime(path, (modified, modified))

    def edit_index(self, old: bytes, new: bytes) -> None:
        """Replace bytes in the indexes of shards."""
        for path in self.directory.glob(f"*/{INDEX}"):
            data = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
            path.write_bytes(zstandard.compress(data.replace(old, new)))


@pytest.fixture
def make_channel(tmp_path):
    """A function: a new channel with Python and six; ``noarch`` and native packages depend on each other."""

    def make(name: str = "channel") -> Channel:
        channel = Channel(tmp_path / name)
        for version in ("3.10.1", "3.11.7"):
            channel.add("python", version, "zlib >=1.2")
        channel.add("zlib", "1.2.13")
        channel.add("zlib", "1.3.1")
        channel.add("six", "1.16.0", "python >=3.9", subdir="noarch", noarch="python")
        channel.add("six", "1.17.0", "python >=3.9", "extra", subdir="noarch", noarch="python")
        channel.add("extra", "2.0", "zlib >=1.3", "python 3.11.*")
        channel.index()
        return channel

    return make


@pytest.fixture
def make_http_server():
    """A function: a server of a directory."""
    servers = []

    def make(directory) -> Server:
        servers.append(Server(directory))
        threading.Thread(target=servers[-1].serve_forever, args=(0.05,), daemon=True).start()
        return servers[-1]

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(make_channel, make_http_server):
    """A server of a new channel."""
    return make_http_server(make_channel().directory)


@pytest.fixture
def solve(tmp_path):
    """A function: the lock of a spec, made by a solver with this test's cache directory."""

    def solve(*channels: str, cache="cache", credentials=None, **libraries: str):
        spec = EnvironmentSpec("3.11.7", libraries or {"six": "1.17.0"}, channels, "linux-64")
        solver = RattlerSolver(tmp_path / cache, credentials or Credentials({}, {}))
        return solver.solve({"start": spec})["start"]

    return solve


@pytest.fixture
def lock_of_all(server, solve):
    """The lock that repodata.json alone gives."""
    server.answers[INDEX] = 404
    lock = solve(server.url, cache="other")
    assert server.has_sent_all
    server.answers.clear()
    return lock


def test_a_solve_reads_shards_only(server, solve, lock_of_all):
    """The lock is the same; repodata.json is not asked for, and shards are asked for once."""
    assert solve(server.url) == lock_of_all
    assert any("/shards/" in each for each in server.paths)
    assert not server.has_sent_all
    assert {each.name for each in lock_of_all.packages} == {"python", "six", "extra", "zlib"}
    assert solve(server.url) == lock_of_all
    assert {each.rpartition("/")[2] for each in server.paths} == {INDEX}


GARBAGE = {
    "403": 403,
    "401": 401,
    "404": 404,
    "304": 304,
    "500": 500,
    "501": 501,
    "503": 503,
    "empty": b"",
    "a page": b"<html>Please log in</html>",
    "cut": zstandard.compress(b"\x82\xa4info\x80")[:-4],
    "not MessagePack": zstandard.compress(b"\xc1" * 100),
    "another document": zstandard.compress(b"\x80"),
    "a list of 4,294,967,295 entries": zstandard.compress(b"\xdd\xff\xff\xff\xff"),
    "bytes of 4 GB that do not come": zstandard.compress(b"\xc6\xff\xff\xff\xff"),
    "a frame that promises 4 GB": b"\x28\xb5\x2f\xfd\xe0" + (4 << 30).to_bytes(8, "little") + b"\1\0\0",
    "lists in lists": zstandard.compress(b"\x91" * 200_000),
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("part", [INDEX, f"linux-64/{INDEX}", "/shards/"])
def test_shards_that_cannot_be_read(server, solve, lock_of_all, part, answer):
    """The solve reads repodata.json instead, and the next one tries the shards again."""
    server.answers[part] = answer
    assert solve(server.url) == lock_of_all
    assert server.has_sent_all
    server.answers.clear()
    assert solve(server.url) == lock_of_all
    assert not server.has_sent_all


def test_shards_of_other_packages(server, solve, lock_of_all):
    """Each shard is answered with another one."""
    paths = sorted((server.directory / "linux-64" / "shards").iterdir())
    for path, other in zip(paths, [*paths[1:], paths[0]], strict=True):
        server.answers[path.name] = other.read_bytes()
    assert solve(server.url) == lock_of_all
    assert server.has_sent_all


def test_an_index_of_shards_that_lacks_a_package(server, solve, lock_of_all):
    """A spec that shards cannot solve is solved with repodata.json."""
    Channel(server.directory).edit_index(b"\xa5extra", b"\xa5other")
    assert solve(server.url) == lock_of_all
    assert server.has_sent_all


@pytest.mark.parametrize("base", [b"http://127.0.0.1:9/linux-64/", b"../elsewhere/"])
def test_an_index_of_shards_that_has_packages_elsewhere(server, solve, lock_of_all, base):
    """A proxy that passes on another channel's shards does not send steps past itself."""
    Channel(server.directory).edit_index(
        b"\xa8base_url\xa0", b"\xa8base_url" + bytes([0xA0 | len(base)]) + base
    )
    assert solve(server.url) == lock_of_all
    assert server.has_sent_all


def test_a_damaged_shard_in_the_cache(server, solve, lock_of_all, tmp_path):
    """It costs one solve with repodata.json; then it is fetched again."""
    assert solve(server.url) == lock_of_all
    for path in (tmp_path / "cache").glob("shards-v*/*"):
        path.write_bytes(b"")
    assert not server.has_sent_all
    assert solve(server.url) == lock_of_all
    assert server.has_sent_all
    assert solve(server.url) == lock_of_all
    assert not server.has_sent_all


def test_a_damaged_shard_that_is_written_late(server, solve, lock_of_all, tmp_path):
    """Rattler may still write a shard when the solve that could not read another is over."""
    assert solve(server.url) == lock_of_all
    shards = list((tmp_path / "cache").glob("shards-v*/*"))
    for path in shards:
        path.unlink()
    server.answers["/shards/"] = garbage = GARBAGE["another document"]
    assert solve(server.url) == lock_of_all
    server.answers.clear()
    server.paths.clear()
    for path in shards:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(garbage)
    assert solve(server.url) == lock_of_all
    assert not server.has_sent_all


@pytest.mark.parametrize("policy", [None, "no-store", "no-cache", "max-age=3600", "public, immutable"])
def test_a_new_package_is_seen_by_the_next_solve(server, solve, policy):
    """Whatever the server says about caching, and however old the index was when it was cached."""
    server.extra = {} if policy is None else {"Cache-Control": policy}
    assert "extra" in {each.name for each in solve(server.url).packages}
    with pytest.raises(SolveError, match=r"has no six 1\.18\.0"):
        solve(server.url, cache="other", six="1.18.0")
    channel = Channel(server.directory)
    channel.add("six", "1.18.0", "python >=3.9", subdir="noarch", noarch="python")
    channel.index(OLD + 1000)
    server.paths.clear()
    lock = solve(server.url, six="1.18.0")
    assert {each.name for each in lock.packages} == {"python", "six", "zlib"}
    assert not server.has_sent_all


def test_a_channel_that_gets_shards(server, solve, lock_of_all):
    """A missing index is not remembered."""
    server.answers[INDEX] = 404
    assert solve(server.url) == lock_of_all
    server.answers.clear()
    server.paths.clear()
    assert solve(server.url) == lock_of_all
    assert not server.has_sent_all


def test_channels_with_shards_and_without(make_channel, make_http_server, solve):
    """Each is read as it can be, a directory too; the first channel that has a package gives it."""
    with_shards, without, directory = (make_channel(name) for name in ("with", "without", "directory"))
    for channel, name in ((with_shards, "one"), (without, "two"), (directory, "three")):
        channel.add(name, "1.0", "six 1.17.0")
        channel.index()
    servers = [make_http_server(each.directory) for each in (with_shards, without)]
    servers[1].answers[INDEX] = 404
    urls = [servers[0].url, servers[1].url, directory.directory.as_uri()]
    lock = solve(*urls, one="1.0", two="1.0", three="1.0")
    by_name = {each.name: each.channel for each in lock.packages}
    assert [by_name[name] for name in ("one", "two", "three")] == urls
    assert {by_name[name] for name in ("six", "python", "zlib")} == {urls[0]}
    assert not servers[0].has_sent_all
    assert servers[1].has_sent_all


def test_a_package_in_both_formats(server, solve):
    """Shards list both archives; the lock has the one that repodata.json gives."""
    channel = Channel(server.directory)
    channel.add("zlib", "1.3.1", kind=".tar.bz2")
    channel.add("only-old", "1.0", "zlib", kind=".tar.bz2")
    channel.index()
    of_shards = solve(server.url, six="1.17.0", **{"only-old": "1.0"})
    assert not server.has_sent_all
    server.answers[INDEX] = 404
    assert solve(server.url, cache="other", six="1.17.0", **{"only-old": "1.0"}) == of_shards
    names = {each.file_name for each in of_shards.packages}
    assert {"zlib-1.3.1-0.conda", "only-old-1.0-0.tar.bz2"} <= names


def test_an_unknown_version_is_confirmed(server, solve):
    """Only repodata.json proves that a version is missing; the message is the same as ever."""
    with pytest.raises(SolveError, match=r"has no six 1\.1 for linux-64\. There is: 1\.16\.0, 1\.17\.0\."):
        solve(server.url, six="1.1")
    assert server.has_sent_all


def test_a_channel_that_is_gone(server, solve):
    """The message names the channel, as without shards."""
    server.answers["/"] = 503
    with pytest.raises(ChannelError, match=rf"the channel {server.url} cannot be read.*repodata\.json"):
        solve(server.url)


def test_nothing_is_held_after_a_solve(server, solve):
    """The repodata in memory goes with the gateways."""
    server.answers["/shards/"] = 403
    solve(server.url)
    gc.collect()
    assert not [each for each in gc.get_objects() if type(each) is rattler.Gateway]
