"""Channels that ask who is there: credentials from where conda's users keep them, and in no lock or message."""

from __future__ import annotations

import base64
import functools
import json
import socket
import threading
from http.server import ThreadingHTTPServer
from urllib.parse import quote

import pytest

from airflow_conda_flow.channel.serve import _Quiet
from airflow_conda_flow.environments.channels import channel_url, public_channel
from airflow_conda_flow.environments.credentials import Credential, Credentials, basic, bearer
from airflow_conda_flow.environments.environment_file import read_environment_file
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.environments.requested import environment_request
from airflow_conda_flow.environments.solve.rattler import RattlerSolver
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.errors import ChannelError, FlowDefinitionError
from airflow_conda_flow.settings.loading import load_settings

from .conftest import run_python

SECRET = "open-sesame"


class _Guarded(_Quiet):
    """Serves who gives the password, the bearer token, or a token in the path."""

    allowed = (
        f"Basic {base64.b64encode(f'alice:{SECRET}'.encode()).decode()}",
        f"Bearer {SECRET}",
    )

    hides = None  # a part of the paths that do not exist

    def send_head(self):
        self.server.requests.append((self.path, self.headers.get("Authorization")))
        if self.hides and self.hides in self.path:
            self.send_error(404)
            return None
        prefix = f"/t/{SECRET}/"
        if self.path.startswith(prefix):
            self.path = self.path[len(prefix) - 1 :]
        elif self.headers.get("Authorization") not in self.allowed:
            self.send_error(401)
            return None
        return super().send_head()


class _Ipv6Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6


@pytest.fixture
def make_guarded(channel):
    """A function: a new server of a private channel, or of a public one; its requests are in ``requests``."""
    servers = []

    def make(kind=ThreadingHTTPServer, host="127.0.0.1", handler=_Guarded):
        server = kind((host, 0), functools.partial(handler, directory=str(channel.directory)))
        server.requests = []
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def guarded(make_guarded):
    """``host:port`` of a private channel."""
    return f"127.0.0.1:{make_guarded().server_port}"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home directory without credentials."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("RATTLER_AUTH_FILE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    return folder


def from_rattler(home, host):
    """Rattler's own file."""
    (home / ".rattler").mkdir()
    (home / ".rattler" / "credentials.json").write_text(
        json.dumps({host.partition(":")[0]: {"BearerToken": SECRET}})
    )
    return Credentials()


def from_rattler_token(home, host):
    """A token of anaconda.org's kind in rattler's file."""
    (home / ".rattler").mkdir()
    (home / ".rattler" / "credentials.json").write_text(json.dumps({host: {"CondaToken": SECRET}}))
    return Credentials()


def from_netrc(home, host):
    """netrc, as conda reads it."""
    path = home / ".netrc"
    path.write_text(f"machine {host.partition(':')[0]} login alice password {SECRET}\n")
    path.chmod(0o600)
    return Credentials()


def from_anaconda(home, host):
    """The token of ``anaconda login``."""
    folder = home / ".local" / "share" / "binstar"
    folder.mkdir(parents=True)
    (folder / f"{quote(f'https://{host}', safe='')}.token").write_text(SECRET)
    return Credentials()


def from_url(home, host):
    """In the channel's URL."""
    return Credentials.of_channels([f"http://alice:{SECRET}@{host}"])


def from_url_token(home, host):
    """As a token in the channel's URL."""
    return Credentials.of_channels([f"http://{host}/t/{SECRET}/"])


def handed_in(home, host):
    """Handed in, as from an Airflow connection."""
    return Credentials({host: bearer(SECRET)})


@pytest.mark.parametrize(
    "source",
    [from_rattler, from_rattler_token, from_netrc, from_anaconda, from_url, from_url_token, handed_in],
)
def test_a_private_channel(make_environments, channel, guarded, home, tmp_path, source):
    """Solved and downloaded with the credentials; the lock and the cache hold none of them."""
    spec = EnvironmentSpec(
        channel.python, {"six": "1.17.0"}, (public_channel(f"http://{guarded}"),), current_platform()
    )
    environments = make_environments(credentials=source(home, guarded))
    lock = environments.resolve(spec, "start")
    assert SECRET.encode() not in lock.to_bytes()
    prefix = environments.materialise(lock)
    assert run_python(prefix, "import six; print(six.__version__)") == "1.17.0"
    kept = [path for path in (tmp_path / "machine").rglob("*") if path.is_file()]
    texts = [path for path in kept if path.suffix in {".lock", ".json", ".txt"}]
    assert {path.suffix for path in texts} >= {".lock", ".json"}
    assert [path for path in texts if SECRET.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("place", [f"alice:{SECRET}@HOST", f"HOST/t/{SECRET}"])
def test_a_list_whose_urls_have_credentials(make_environments, channel, guarded, home, tmp_path, place):
    """They are used to fetch the packages, and no id, lock or message has them."""
    environments = make_environments()
    spec = EnvironmentSpec(channel.python, {"six": "1.17.0"}, (channel.url,), current_platform())
    packages = environments.resolve(spec, "start").packages
    url = f"http://{place.replace('HOST', guarded)}"
    lines = [f"{each.url.replace(channel.url, url)}#{each.sha256}" for each in packages]
    file = tmp_path / "list.txt"
    file.write_text("\n".join(["@EXPLICIT", *lines, ""]), encoding="utf-8-sig")
    pinned = read_environment_file(file, current_platform()).pinned
    assert SECRET not in repr(pinned)
    listed = EnvironmentSpec(channel.python, {}, (), current_platform(), pinned=pinned)
    file.write_text(file.read_text().replace(url, f"http://{guarded}"))
    public = read_environment_file(file, current_platform()).pinned
    assert listed.id == EnvironmentSpec(channel.python, {}, (), current_platform(), pinned=public).id
    lock = make_environments("another").resolve(listed, "start")
    assert SECRET.encode() not in lock.to_bytes()
    assert {each.url for each in lock.packages} == {each.url for each in public}
    file.write_text(f"@EXPLICIT\n{lines[0].partition('#')[0]}\n")
    with pytest.raises(FlowDefinitionError, match="has no hash") as caught:
        read_environment_file(file, current_platform())
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("place", [f"alice:{SECRET}@HOST", f"HOST/t/{SECRET}"])
def test_a_file_whose_channel_has_credentials(make_environments, channel, guarded, home, tmp_path, place):
    """They are used, and no request, id or lock has them."""
    file = tmp_path / "environment.yml"
    url = f"http://{place.replace('HOST', guarded)}"
    file.write_text(f"channels: ['{url}']\ndependencies: [python={channel.python}, six=1.17.0]\n")
    wanted = {"python": "", "python_stated": False, "libraries": {}, "pypi": {}, "file": str(file)}
    request = environment_request("start", wanted, current_platform(), ("a_flow.py", 7))
    spec = request.spec(load_settings({}, environ={}), current_platform(), channel.python)
    lock = make_environments().resolve(spec, "start")
    assert spec.channels == (f"http://{guarded}",)
    assert SECRET not in f"{request} {request.to_dict()} {spec} {lock}"


def test_a_private_channel_without_credentials(make_environments, channel, guarded, home):
    """The message says which channel."""
    spec = EnvironmentSpec(channel.python, {}, (f"http://{guarded}",), current_platform())
    with pytest.raises(ChannelError, match=rf"the channel http://{guarded} cannot be read"):
        make_environments().resolve(spec, "start")


def test_a_channels_credentials_are_no_part_of_it():
    """A spec names the channel without them, so that everybody's id is the same."""
    assert public_channel(f"https://alice:{SECRET}@host/a") == "https://host/a"
    assert public_channel(f"https://host/t/{SECRET}/a") == "https://host/a"
    assert SECRET not in repr(basic("alice", SECRET))


class _Public(_Guarded):
    """Serves everybody, and notes who sends a password."""

    def send_head(self):
        self.server.requests.append((self.path, self.headers.get("Authorization")))
        return _Quiet.send_head(self)


@pytest.fixture
def solve(channel, tmp_path):
    """A function: solves a spec of some channels with credentials; returns the lock."""

    def solve(channels, credentials, cache="cache"):
        spec = EnvironmentSpec(channel.python, {"six": "1.17.0"}, tuple(channels), current_platform())
        return RattlerSolver(tmp_path / cache, credentials).solve({"start": spec})["start"]

    return solve


@pytest.mark.parametrize("credential", [bearer(SECRET), basic("alice", SECRET), Credential({}, SECRET)])
def test_the_shards_of_a_private_channel(make_guarded, solve, home, credential):
    """They are read with the credentials; repodata.json is not asked for."""
    server = make_guarded()
    host = f"127.0.0.1:{server.server_port}"
    lock = solve([f"http://{host}"], Credentials({host: credential}))
    assert {each.channel for each in lock.packages} == {f"http://{host}"}
    paths = [path for path, _ in server.requests]
    assert [path for path in paths if "/shards/" in path]
    assert [path for path in paths if "repodata.json" in path] == []


@pytest.mark.parametrize("has_shards", [True, False])
def test_credentials_of_another_port(make_guarded, solve, home, monkeypatch, has_shards):
    """A channel on the same host gets none of them, with shards and without."""
    if not has_shards:
        monkeypatch.setattr(_Guarded, "hides", "shards")
    private, public = make_guarded(), make_guarded(handler=_Public)
    hosts = [f"127.0.0.1:{each.server_port}" for each in (private, public)]
    urls = [f"http://{host}" for host in hosts]
    known = Credentials({hosts[0]: bearer(SECRET)})
    assert {each.channel for each in solve(urls, known).packages} == {urls[0]}
    assert {each.channel for each in solve(urls[::-1], known, "other").packages} == {urls[1]}
    assert {word for _, word in private.requests} == {f"Bearer {SECRET}"}
    assert {word for _, word in public.requests} == {None}


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_redirect_to_another_port(make_guarded, solve, home, is_alone):
    """The credentials do not go along."""
    public = make_guarded(handler=_Public)
    there = f"http://127.0.0.1:{public.server_port}"

    class Redirecting(_Guarded):
        def send_head(self):
            self.server.requests.append((self.path, self.headers.get("Authorization")))
            self.send_response(302)
            self.send_header("Location", f"{there}{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()

    private = make_guarded(handler=Redirecting)
    host = f"127.0.0.1:{private.server_port}"
    lock = solve([f"http://{host}", there][: 1 if is_alone else 2], Credentials({host: bearer(SECRET)}))
    assert {each.channel for each in lock.packages} == {f"http://{host}"}
    assert {word for _, word in private.requests} == {f"Bearer {SECRET}"}
    assert {word for _, word in public.requests} == {None}


def test_credentials_of_three_ports(make_guarded, solve, home):
    """Each server gets its own."""
    servers = [make_guarded() for _ in range(3)]
    hosts = [f"127.0.0.1:{each.server_port}" for each in servers]
    credentials = (bearer(SECRET), basic("alice", SECRET), Credential({}, SECRET))
    solve([f"http://{host}" for host in hosts], Credentials(dict(zip(hosts, credentials, strict=True))))
    words = [{word for _, word in server.requests} for server in servers]
    assert words == [{bearer(SECRET).headers["Authorization"]}, {_Guarded.allowed[0]}, {None}]


def test_credentials_of_another_scheme(home):
    """Those in an https URL are not sent in clear text."""
    known = Credentials.of_channels([f"https://alice:{SECRET}@host/a"])
    assert known.request("https://host/b")[1]
    assert known.request("https://HOST:443/b")[1]
    assert known.request("http://host/b")[1] == {}
    assert known.request("http://host:443/b")[1] == {}
    assert known.request("https://host:8443/b")[1] == {}


def test_one_host_written_in_different_ways(home):
    """Case and the scheme's own port make no difference."""
    for host in ("host", "HOST", "host:443", "alice@host"):
        assert Credentials({host: bearer(SECRET)}).request("https://Host/a")[1]
    assert Credentials({"host": bearer(SECRET)}).request("https://host:443/a")[1]
    assert Credentials({"host": bearer(SECRET)}).request("https://host:80/a")[1] == {}


def test_a_private_channel_at_an_ipv6_address(make_guarded, solve, home):
    """Its host is written in brackets."""
    try:
        server = make_guarded(_Ipv6Server, "::1")
    except OSError:
        pytest.skip("no IPv6 on this machine")
    host = f"[::1]:{server.server_port}"
    assert len(solve([f"http://{host}"], Credentials({host: bearer(SECRET)})).packages) == 2
    (home / ".netrc").write_text(f"machine ::1 login alice password {SECRET}\n")
    (home / ".netrc").chmod(0o600)
    assert len(solve([f"http://{host}"], Credentials(), "other").packages) == 2


def test_credentials_in_the_alias_of_channels(home, monkeypatch):
    """They are used for channels that are named, and are in no lock; slashes make no difference."""
    for text in (f"https://alice:{SECRET}@host", f"https://host/t/{SECRET}/"):
        monkeypatch.setenv("CONDA_CHANNEL_ALIAS", text)
        url = channel_url("main/")
        assert url == "https://host/main"
        assert Credentials.of_channels(["main"]).request(url) != (url, {})
