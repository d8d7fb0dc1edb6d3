"""Channels that ask who is there: credentials from where conda's users keep them, and in no lock or message."""

from __future__ import annotations

import base64
import functools
import json
import threading
from http.server import ThreadingHTTPServer
from urllib.parse import quote

import pytest

from airflow_conda_flow.channel.serve import _Quiet
from airflow_conda_flow.environments.channels import public_channel
from airflow_conda_flow.environments.credentials import Credentials, basic, bearer
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.errors import ChannelError

from .conftest import run_python

SECRET = "open-sesame"


class _Guarded(_Quiet):
    """Serves who gives the password, the bearer token, or a token in the path."""

    allowed = (
        f"Basic {base64.b64encode(f'alice:{SECRET}'.encode()).decode()}",
        f"Bearer {SECRET}",
    )

    def send_head(self):
        prefix = f"/t/{SECRET}/"
        if self.path.startswith(prefix):
            self.path = self.path[len(prefix) - 1 :]
        elif self.headers.get("Authorization") not in self.allowed:
            self.send_error(401)
            return None
        return super().send_head()


@pytest.fixture
def guarded(channel):
    """``host:port`` of a private channel."""
    handler = functools.partial(_Guarded, directory=str(channel.directory))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


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
