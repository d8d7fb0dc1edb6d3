"""Credentials for private channels and indexes: found by host, added to requests, never stored.

The sources are, in this order: the credentials that the caller passes (Airflow connections), the URLs of
channels in settings, rattler's file (``RATTLER_AUTH_FILE`` or ``~/.rattler/credentials.json``), the tokens of
``anaconda login``, and netrc. URLs in specs, locks and messages never contain credentials.
"""

from __future__ import annotations

import base64
import json
import netrc
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from airflow_conda_flow.errors import SettingError

_RATTLER_FILE = "~/.rattler/credentials.json"  # rattler's and pixi's logins use it where there is no keyring
# Where `anaconda login` keeps tokens: https://github.com/anaconda/anaconda-client
_TOKEN_FOLDERS = ("~/.local/share/binstar", "~/.config/binstar", "~/Library/Application Support/binstar")


_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Credential:
    """Credential for one host.

    Attributes:
        headers: to be added to every request.
        token: of anaconda.org's kind, which becomes a part of the URL's path; else empty.
    """

    headers: Mapping[str, str]
    token: str = ""

    def __repr__(self) -> str:
        """A text without the secrets, for logs and tracebacks."""
        return "Credential(...)"


def basic(username: str, password: str) -> Credential:
    """Credential for HTTP's basic authentication."""
    word = base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
    return Credential({"Authorization": f"Basic {word}"})


def bearer(token: str) -> Credential:
    """Credential with a bearer token."""
    return Credential({"Authorization": f"Bearer {token}"})


def split_credential(url: str) -> tuple[str, Credential | None]:
    """URL without its secrets, and the credential in it: ``user:password@host`` or ``host/t/TOKEN/...``.

    >>> split_credential("https://host/t/ab-12/channel")[0]
    'https://host/channel'
    >>> split_credential("https://user:word@host:81/channel")[0]
    'https://host:81/channel'
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise SettingError(
            f"The channel {url!r} is not a URL: {error}. Channels are set by CONDA_CHANNELS, the setting "
            "channels, or the flow's decorators."
        ) from error
    found: Credential | None = None
    path, netloc = parts.path, parts.netloc
    if path.startswith("/t/"):
        token, _, rest = path[3:].partition("/")
        path, found = "/" + rest, Credential({}, token)
    if "@" in netloc:
        userinfo, _, netloc = netloc.rpartition("@")
        username, _, password = userinfo.partition(":")
        found = basic(unquote(username), unquote(password))
    return urlunsplit((parts.scheme, netloc, path, parts.query, parts.fragment)), found


class Credentials:
    """The credentials of this process, by host.

    Args:
        given: by host, with its port if the URL has one; they take precedence over all others.
        environ: the environment variables; this process's own if None.
        channels: channels whose URLs may contain credentials. Each is for one scheme, host and port.
    """

    def __init__(
        self,
        given: Mapping[str, Credential] | None = None,
        environ: Mapping[str, str] | None = None,
        channels: Iterable[str] = (),
    ) -> None:
        self._given = {host.rpartition("@")[2].lower(): each for host, each in (given or {}).items()}
        self._environ = os.environ if environ is None else environ
        self._of_urls: dict[tuple[str, str], Credential] = {}
        self.learn((*channels, self._environ.get("CONDA_CHANNEL_ALIAS", "")))
        self._known: dict[str, Credential | None] = {}
        self._rattler: Mapping[str, Any] | None = None

    @classmethod
    def of_channels(
        cls, channels: Iterable[str], given: Mapping[str, Credential] | None = None
    ) -> Credentials:
        """The given credentials, and those in the URLs of channels."""
        return cls(given, channels=[each for each in channels if "://" in each])

    def learn(self, urls: Iterable[str]) -> None:
        """Take the credentials in URLs. Each is for one scheme, host and port; the first one counts."""
        for url, found in map(split_credential, urls):
            if found is not None:
                self._of_urls.setdefault((urlsplit(url).scheme, _hosts(url)[0]), found)

    def of(self, host: str) -> Credential | None:
        """Credential in this user's files for a host, such as ``host`` or ``host:8080``, or None.

        Raises:
            SettingError: a file with credentials exists and cannot be read.
        """
        if host not in self._known:
            self._known[host] = (
                self._from_rattler(host) or self._from_anaconda(host) or self._from_netrc(host)
            )
        return self._known[host]

    def request(self, url: str) -> tuple[str, Mapping[str, str]]:
        """URL to request in place of the given one, and the headers to send with it.

        Raises:
            SettingError: a file with credentials exists and cannot be read.
        """
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS:
            return url, {}
        hosts = _hosts(url)
        found = next((self._given[host] for host in hosts if host in self._given), None)
        found = found or self._of_urls.get((parts.scheme, hosts[0])) or self.of(hosts[0])
        if found is None:
            return url, {}
        if found.token:
            url = urlunsplit(parts._replace(path=f"/t/{quote(found.token)}{parts.path}"))
        return url, found.headers

    def _from_rattler(self, host: str) -> Credential | None:
        """Credential in rattler's file (https://rattler.build/latest/authentication_and_upload/)."""
        if self._rattler is None:
            self._rattler = self._rattler_file()
        for name in (host, _without_port(host), *_wildcards(host)):
            if name in self._rattler:
                return _rattler_credential(self._rattler[name])
        return None

    def _rattler_file(self) -> Mapping[str, Any]:
        path = Path(self._environ.get("RATTLER_AUTH_FILE") or _RATTLER_FILE).expanduser()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise SettingError(
                f"{path}, with the credentials for channels, cannot be read: {error}."
            ) from error
        return content if isinstance(content, dict) else {}

    def _from_anaconda(self, host: str) -> Credential | None:
        for folder in _TOKEN_FOLDERS:
            for name in (host, f"api.{host.removeprefix('conda.')}"):
                path = Path(folder).expanduser() / f"{quote(f'https://{name}', safe='')}.token"
                try:
                    return Credential({}, path.read_text(encoding="utf-8").strip())
                except OSError:
                    continue
        return None

    def _from_netrc(self, host: str) -> Credential | None:
        path = Path(self._environ.get("NETRC") or "~/.netrc").expanduser()
        try:
            found = netrc.netrc(path).authenticators(_without_port(host).strip("[]"))
        except FileNotFoundError:
            return None
        except (OSError, netrc.NetrcParseError) as error:
            raise SettingError(f"{path} cannot be read: {error}.") from error
        return None if found is None else basic(found[0], found[2] or "")


def _hosts(url: str) -> tuple[str, ...]:
    """Names of a URL's host, with the port: first without it if it is the scheme's own, then with it.

    >>> _hosts("https://User:word@Host:443/channel"), _hosts("http://host:443")
    (('host', 'host:443'), ('host:443',))
    """
    parts = urlsplit(url)
    host = _without_port(parts.netloc.rpartition("@")[2].lower())
    default = _DEFAULT_PORTS.get(parts.scheme)
    port = parts.port or default
    return (host, f"{host}:{port}") if port == default else (f"{host}:{port}",)


def _without_port(host: str) -> str:
    """The host alone.

    >>> _without_port("host:80"), _without_port("[::1]:80"), _without_port("[::1]")
    ('host', '[::1]', '[::1]')
    """
    return re.sub(r":\d*$", "", host)


def _wildcards(host: str) -> list[str]:
    labels = _without_port(host).split(".")
    return ["*." + ".".join(labels[start:]) for start in range(len(labels))]


def _rattler_credential(entry: Mapping[str, Any]) -> Credential | None:
    if "BearerToken" in entry:
        return bearer(entry["BearerToken"])
    if "CondaToken" in entry:
        return Credential({}, entry["CondaToken"])
    if "BasicHTTP" in entry:
        return basic(entry["BasicHTTP"]["username"], entry["BasicHTTP"]["password"])
    return None
