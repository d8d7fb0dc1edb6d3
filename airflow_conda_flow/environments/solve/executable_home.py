"""The surroundings of ``conda``, ``mamba`` and ``micromamba`` while they solve: nothing of the user's.

One spec id means one set of packages, so configuration files, environment variables and the machine's own
virtual packages must not have a say. Credentials are in files that only this user may read: arguments are
shown by ``ps``, and URLs by logs.

https://docs.conda.io/projects/conda/en/stable/user-guide/configuration/settings.html
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from airflow_conda_flow.environments.channels import channel_alias
from airflow_conda_flow.environments.credentials import Credentials
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.environments.virtual_packages import split_virtual_version

# How a machine reaches the network, and which solver conda uses: no part of an environment.
_KEPT = frozenset(
    f"{program}_{name}"
    for program in ("CONDA", "MAMBA")
    for name in (
        "SSL_VERIFY",
        "SSL_NO_REVOKE",
        "CLIENT_SSL_CERT",
        "CLIENT_SSL_CERT_KEY",
        "PROXY_SERVERS",
        "REMOTE_CONNECT_TIMEOUT_SECS",
        "REMOTE_READ_TIMEOUT_SECS",
        "REMOTE_MAX_RETRIES",
        "SOLVER",
    )
)
_DROPPED = frozenset(["PYTHONPATH", "PYTHONHOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"])
_OVERRIDES = {
    "__glibc": "GLIBC",
    "__cuda": "CUDA",
    "__osx": "OSX",
    "__win": "WIN",
    "__linux": "LINUX",
    "__archspec": "ARCHSPEC",
}


def make_home(
    folder: Path,
    spec: EnvironmentSpec,
    channels: Iterable[str],
    credentials: Credentials,
    repodata: Path,
    named: Iterable[str] = (),
) -> dict[str, str]:
    """Fill a folder for one solve; returns the environment variables of the executable.

    Args:
        folder: an empty directory that only this user may read.
        spec: the spec that is solved.
        channels: URLs of all channels that are read.
        credentials: of private channels.
        repodata: directory that keeps the channels' repodata for all specs and runs.
        named: URLs of channels that single libraries are asked from, for conda alone. Before 26.7 it keeps
            only the path of such a URL, and takes it for a name; so that is made a name of the channel. And
            a strict priority would hide the channel's library where a better channel has one of that name;
            the priority of all others is checked afterwards, as always.
    """
    named = list(named)
    priority = "flexible" if named else "strict"
    home = folder / "home"
    home.mkdir()
    (folder / "pkgs").mkdir()
    # The package cache has to be empty: what it holds is preferred, and left out of ``FETCH``. Its folder
    # ``cache`` has the repodata.
    repodata.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "pkgs" / "cache").symlink_to(repodata, target_is_directory=True)
    custom, logins, netrc = _logins(channels, credentials)
    custom = {**_names(named), **custom}
    configuration = folder / "condarc"  # conda reads only files that are named so
    configuration.write_text(json.dumps(_configuration(custom, priority), indent=1), encoding="utf-8")
    (folder / "netrc").write_text(netrc, encoding="utf-8")
    (folder / "netrc").chmod(0o600)
    _write_tokens(folder / "binstar" / "data", logins)
    (home / ".mamba" / "auth").mkdir(parents=True)
    (home / ".mamba" / "auth" / "authentication.json").write_text(json.dumps(logins), encoding="utf-8")
    own = {
        "HOME": str(home),
        "NETRC": str(folder / "netrc"),
        "TERM": "dumb",
        "PYTHONUTF8": "1",
        "CONDARC": str(configuration),
        "MAMBARC": str(configuration),
        "CONDA_SUBDIR": spec.platform,
        "CONDA_PKGS_DIRS": str(folder / "pkgs"),
        "MAMBA_ROOT_PREFIX": str(folder / "root"),
        "BINSTAR_CONFIG_DIR": str(folder / "binstar"),
        "CONDA_NUMBER_CHANNEL_NOTICES": "0",
        "MAMBA_NO_BANNER": "1",
        **_virtual(spec.virtual_packages),
    }
    for program in ("CONDA", "MAMBA"):
        own[f"{program}_ALWAYS_YES"] = "true"
        own[f"{program}_CHANNEL_ALIAS"] = channel_alias()
        own[f"{program}_CHANNEL_PRIORITY"] = priority
        own[f"{program}_IGNORE_PINNED"] = "true"  # the installation's own configuration may pin packages
        own[f"{program}_ADD_PIP_AS_PYTHON_DEPENDENCY"] = "false"
    return {**_kept(os.environ), **own}


def bearer_channels(channels: Iterable[str], credentials: Credentials) -> list[str]:
    """Channels whose credential is a bearer token, which conda has no place for."""
    return [
        url
        for url in channels
        if credentials.request(url)[1].get("Authorization", "").lower().startswith("bearer ")
    ]


def _kept(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if name in _KEPT or (not name.startswith(("CONDA_", "MAMBA_")) and name not in _DROPPED)
    }


def _configuration(custom_channels: Mapping[str, str], priority: str) -> dict[str, Any]:
    return {
        "channels": [],
        "default_channels": [],
        "channel_alias": channel_alias(),
        "channel_priority": priority,
        "custom_channels": dict(custom_channels),
        "create_default_packages": [],
        "pinned_packages": [],
        "track_features": [],
        "add_pip_as_python_dependency": False,
        "repodata_fns": ["repodata.json"],
        "local_repodata_ttl": 0,  # a server is asked every time whether its list is still the same
        "notify_outdated_conda": False,
        "report_errors": False,
    }


def _virtual(versions: Mapping[str, str]) -> dict[str, str]:
    """Variables by which declared virtual packages replace those of this machine.

    An empty value means that there is none: else conda would detect, for example, this machine's driver.
    An empty ``__linux`` would be version 0, so that one is left out.

    https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-virtual.html
    """
    values = {}
    for name, suffix in _OVERRIDES.items():
        version, build = split_virtual_version(versions.get(name, ""))
        if name in versions or name != "__linux":
            values[f"CONDA_OVERRIDE_{suffix}"] = build if name == "__archspec" else version
    return values


def _write_tokens(folder: Path, logins: Mapping[str, Mapping[str, str]]) -> None:
    """Write tokens as ``anaconda login`` does: conda has no other place for that of a host's root."""
    folder.mkdir(parents=True)
    for place, login in logins.items():
        if login["type"] == "CondaToken":
            for scheme in (
                "https",
                "http",
            ):  # whatever the scheme, a channel is asked with the one of its URL
                url = f"{scheme}://{place.partition('/')[0]}"
                (folder / f"{quote(url, safe='')}.token").write_text(login["token"], encoding="utf-8")


def _names(channels: Iterable[str]) -> dict[str, str]:
    """Names of channels as conda's ``custom_channels``: each with the URL below which it is.

    >>> _names(["https://host:81/team/main", "file:///srv/channel", "https://host"])
    {'team/main': 'https://host:81', 'channel': 'file:///srv'}
    """
    names = {}
    for url in channels:
        parts = urlsplit(url)
        path = parts.path.strip("/")
        folder, name = path.rsplit("/", 1) if parts.scheme == "file" and "/" in path else ("", path)
        if name and not url.startswith(f"{channel_alias()}/"):
            names[name] = urlunsplit((parts.scheme, parts.netloc, f"/{folder}" if folder else "", "", ""))
    return names


def _logins(
    channels: Iterable[str], credentials: Credentials
) -> tuple[dict[str, str], dict[str, dict[str, str]], str]:
    """Credentials of channels in three forms: conda's ``custom_channels``, mamba's logins, and netrc."""
    custom: dict[str, str] = {}
    logins: dict[str, dict[str, str]] = {}
    netrc = ""
    for url in channels:
        asked, headers = credentials.request(url)
        parts = urlsplit(url)
        key = f"{parts.netloc}{parts.path}".rstrip("/")
        scheme, _, word = headers.get("Authorization", "").partition(" ")
        userinfo = token = ""
        if asked != url:
            token = urlsplit(asked).path.split("/")[2]
            logins[key] = {"type": "CondaToken", "token": token}
        elif scheme.lower() == "bearer":
            logins[key] = {"type": "BearerToken", "token": word}
        elif scheme.lower() == "basic":
            user, _, password = base64.b64decode(word).decode().partition(":")
            encoded = base64.b64encode(password.encode()).decode("ascii")
            logins[key] = {"type": "BasicHTTPAuthentication", "user": user, "password": encoded}
            if not re.search(r"\s", user + password):  # netrc has no form for them that all readers know
                netrc += f"machine {parts.hostname} login {user} password {password}\n"
            userinfo = f"{quote(user, safe='')}:{quote(password, safe='')}@"
        if parts.path.strip("/") and (userinfo or token):
            place = f"/t/{token}" if token else ""
            custom[parts.path.strip("/")] = urlunsplit(
                (parts.scheme, f"{userinfo}{parts.netloc}", place, "", "")
            )
    return custom, logins, netrc
