"""Gateways of py-rattler: what they fetch of a channel, what they keep on disk, who gets credentials.

A channel's packages are listed in ``repodata.json``, 74 MB for conda-forge, and in some channels also in
*shards*: one small file for each package name, and an index of them (https://conda.org/learn/ceps/cep-0016).
"""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import rattler
from rattler.networking import AddHeadersMiddleware, Client, MirrorMiddleware

from airflow_conda_flow.environments.credentials import Credentials

# Names within rattler's cache directory.
_INDEXES = "*.shards-cache-v*"
_SHARDS = "shards-v*"
# The file that lies there while a shard may be damaged.
_DOUBT = "doubtful-shards"
# Each bit is a letter of a subdir; the shortest, noarch, has six. Further private servers of one host get no
# credentials, which is the safe side.
_MARKS = range(1, 64)


def channel_of(url: str) -> rattler.Channel:
    """Channel of a URL, wherever this process is.

    Without a configuration, rattler takes the working directory, which it needs for relative paths only, and
    raises UnicodeEncodeError if the name of that is not UTF-8.
    """
    return rattler.Channel(url, rattler.ChannelConfig(root_dir="/"))


def open_gateway(cache_dir: Path, client: Client, *, sharded: bool) -> rattler.Gateway:
    """Gateway that keeps repodata in ``cache_dir``, and in memory as long as it exists.

    Args:
        cache_dir: the directory, which is made when it is first needed.
        client: for all requests.
        sharded: whether to read shards where a channel has them. It has none if the server answers 404 or
            501 for their index; any other answer than 200 is a ``GatewayError``.
    """
    return rattler.Gateway(
        cache_dir=cache_dir, default_config=rattler.SourceConfig(sharded_enabled=sharded), client=client
    )


def forget_indexes(cache_dir: Path) -> None:
    """Delete the indexes of shards, so that the next gateway fetches them; the shards themselves stay.

    Rattler's copy of an index cannot be used. Without a Cache-Control header it counts as fresh for a tenth
    of the file's age, so that new packages are not seen for days. A 404 is remembered for ever. And a 304
    without ETag and Last-Modified, as Python's http.server sends it, is an error:
    https://github.com/conda/rattler/issues/2719. A shard has its hash as its name, and is never outdated.
    """
    for path in cache_dir.glob(_INDEXES):
        path.unlink(missing_ok=True)


def doubt_shards(cache_dir: Path) -> None:
    """Let the next solve forget the shards, one of which may be damaged: rattler does not verify them.

    They are not deleted at once, because rattler may still be writing some: a solve that fails at one shard
    does not wait for the others.
    """
    cache_dir.mkdir(parents=True, exist_ok=True)
    (cache_dir / _DOUBT).touch()


def forget_doubtful_shards(cache_dir: Path) -> None:
    """Delete the shards if a solve before could not read one."""
    doubt = cache_dir / _DOUBT
    if doubt.exists():
        for path in cache_dir.glob(_SHARDS):
            shutil.rmtree(path, ignore_errors=True)
        doubt.unlink(missing_ok=True)


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
        base = channel_of(url).base_url
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
    for number, base in zip(_MARKS, shared, strict=False):
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


def give_back_memory() -> None:
    """Give freed memory back to the system; does nothing where the C library is not glibc.

    Solves run in many threads of rattler, and glibc keeps what they freed. After 50 solves on a channel of
    conda-forge's size a process has 261 MB, and 115 MB after this call, which takes up to 0.2 s. A process of
    its own for each solve would leave nothing behind, but starting one costs more than a solve.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return


def has_own_urls(record: rattler.RepoDataRecord) -> bool:
    """Whether a record's archive is in the channel that lists it, where ``repodata.json`` has it too.

    A proxy that passes on the shards of another channel unchanged may send clients past itself.
    """
    return record.url.startswith(f"{(record.channel or '').rstrip('/')}/{record.subdir}/")


def _host(url: str) -> str:
    """The host as rattler passes it to middlewares: without the port, an IPv6 address in brackets."""
    host = urlsplit(url).hostname or ""
    return f"[{host}]" if ":" in host else host


def _marked(subdir: str, number: int) -> str:
    """The subdir with some letters percent-encoded, others for each number of ``_MARKS``.

    Rattler's middleware says host and path of a request, but neither scheme nor port. Servers of one host
    can be told apart by the path if it is written in different ways; all of them name the same resource
    (RFC 3986, section 6.2.2.2).

    >>> _marked("noarch", 1), _marked("noarch", 6)
    ('%6Eoarch', 'n%6F%61rch')
    """
    letters = (f"%{ord(letter):02X}" if number >> at & 1 else letter for at, letter in enumerate(subdir))
    return "".join(letters)
