"""Names of channels: their URLs, without credentials."""

from __future__ import annotations

import os
from pathlib import Path

from airflow_conda_flow.environments.credentials import split_credential
from airflow_conda_flow.errors import SettingError

_ALIAS = "https://conda.anaconda.org"
_DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")
"""Channels that conda calls ``defaults`` together:
https://docs.conda.io/projects/conda/en/stable/user-guide/configuration/settings.html#default-channels"""


def channel_url(channel: str) -> str:
    """URL of a channel: of a name on anaconda.org (or ``CONDA_CHANNEL_ALIAS``), or of a path to a directory.

    It has no credentials and no slash at its end. For ``defaults`` it is that of Python's packages.

    Raises:
        SettingError: it is none of these.

    >>> channel_url("conda-forge")
    'https://conda.anaconda.org/conda-forge'
    >>> channel_url("/srv/channel/")
    'file:///srv/channel'
    """
    channel = channels_of(channel)[0]
    try:
        if "://" in channel:
            return channel
        if channel.startswith(("/", "./", "../", "~")):
            return Path(channel).expanduser().absolute().as_uri()
    except RuntimeError as error:  # there is no such user
        raise SettingError(
            f"The channel {channel!r} is not a directory: {error}. "
            "Channels are set by CONDA_CHANNELS, the setting channels, or the flow's decorators."
        ) from error
    return f"{channel_alias()}/{channel.strip('/')}"


def channel_alias() -> str:
    """URL below which channels are that are named without one: ``CONDA_CHANNEL_ALIAS``, or anaconda.org."""
    return public_channel(os.environ.get("CONDA_CHANNEL_ALIAS") or _ALIAS).rstrip("/")


def channels_of(name: str) -> tuple[str, ...]:
    """Channels that a name or a URL stands for, as a spec names them: one, but of ``defaults`` two.

    With a ``CONDA_CHANNEL_ALIAS``, ``defaults`` is a channel like the others there.

    >>> channels_of("conda-forge"), channels_of("https://user:word@host/channel/")
    (('conda-forge',), ('https://host/channel',))
    """
    if name == "defaults" and channel_alias() == _ALIAS:
        return _DEFAULTS
    return (public_channel(name),)


def split_library(name: str) -> tuple[str | None, str]:
    """Channel, or None, and package of a library's name.

    >>> split_library("bioconda::samtools"), split_library("NumPy")
    (('bioconda', 'samtools'), (None, 'numpy'))
    """
    channel, separator, package = name.rpartition("::")
    return (channel if separator else None), package.lower()


def public_channel(channel: str) -> str:
    """The channel as a spec names it: of a URL, without credentials and without slashes at its end.

    >>> public_channel("https://user:word@host/channel"), public_channel("conda-forge")
    ('https://host/channel', 'conda-forge')
    >>> public_channel("http://host/"), public_channel("http://host/t/TOKEN")
    ('http://host', 'http://host')
    """
    if "://" not in channel:
        return channel
    url = split_credential(channel)[0]
    return url if url.endswith("://") or url == "file:///" else url.rstrip("/")


def public_library(name: str) -> str:
    """The library's name with its channel as a spec names it.

    >>> public_library("https://user:word@host/channel/::numpy"), public_library("numpy")
    ('https://host/channel::numpy', 'numpy')
    """
    channel, separator, package = name.rpartition("::")
    return f"{public_channel(channel)}{separator}{package}"
