"""The client of py-rattler's gateways: which requests carry credentials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import rattler
from rattler.networking import AddHeadersMiddleware, Client, MirrorMiddleware

from airflow_conda_flow.environments.credentials import Credentials


def make_client(channels: Iterable[str], platforms: Sequence[str], credentials: Credentials) -> Client:
    """Client that sends credentials to the channels that they are for.

    Args:
        channels: URLs of all channels that the client is used for.
        platforms: platforms whose packages are asked for; ``noarch`` always is.
        credentials: of private channels.
    """
    mirrors: dict[str, list[str]] = {}
    private: dict[str, Mapping[str, str]] = {}
    servers: dict[str, set[str]] = {}
    for url in sorted(set(channels)):
        # Rattler's form of the URL is the one that its requests have: lower case, without a default port.
        base = rattler.Channel(url).base_url
        parts = urlsplit(base)
        servers.setdefault(_host(base), set()).add(f"{parts.scheme}://{parts.netloc}")
        asked, headers = credentials.request(url)
        # A token is a part of the path. A mirror with the token in its URL keeps it out of the channel's
        # URL, and so out of locks and messages.
        if asked != url:
            mirrors[base] = [f"{asked.rstrip('/')}/"]
        if headers:
            private[base] = headers
    by_host = {_host(base): headers for base, headers in private.items() if len(servers[_host(base)]) == 1}
    shared = [base for base in private if len(servers[_host(base)]) > 1]
    by_path: dict[tuple[str, str], Mapping[str, str]] = {}
    for number, base in enumerate(shared, 1):
        for subdir in {*platforms, "noarch"}:
            marked = f"{base}{_marked(subdir, number)}/"
            mirrors[f"{base}{subdir}/"] = [marked]
            by_path[_host(base), urlsplit(marked).path] = private[base]

    def headers_of(host: str, path: str) -> dict[str, str]:
        if host in by_host:
            return dict(by_host[host])
        marked = (each for (name, start), each in by_path.items() if name == host and path.startswith(start))
        return dict(next(marked, {}))

    middlewares: list[Any] = [AddHeadersMiddleware(headers_of)]
    if mirrors:
        middlewares.insert(0, MirrorMiddleware(mirrors))
    return Client(middlewares)


def _host(url: str) -> str:
    """The host as rattler passes it to middlewares: without the port, an IPv6 address in brackets."""
    host = urlsplit(url).hostname or ""
    return f"[{host}]" if ":" in host else host


def _marked(subdir: str, number: int) -> str:
    """The subdir with some letters percent-encoded, others for each number below 64.

    Rattler's middleware says host and path of a request, but neither scheme nor port. Servers of one host
    can be told apart by the path if it is written in different ways; all of them name the same resource
    (RFC 3986, section 6.2.2.2).

    >>> _marked("noarch", 1), _marked("noarch", 6)
    ('%6Eoarch', 'n%6F%61rch')
    """
    letters = (f"%{ord(letter):02X}" if number >> at & 1 else letter for at, letter in enumerate(subdir))
    return "".join(letters)
