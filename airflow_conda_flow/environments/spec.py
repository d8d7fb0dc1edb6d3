"""``EnvironmentSpec``: the requirements of an environment, and the id that follows from them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from airflow_conda_flow.environments.credentials import split_credential
from airflow_conda_flow.environments.lock import Lock

_EXACT = re.compile(r"(\d+!)?[\w.+-]+")
_AROUND = re.compile(r"\s*([<>=!~,|]+)\s*")
_BEGINNING = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True)
class PinnedUrl:
    """One package of a complete list: its URL and its hash.

    Attributes:
        url: of a conda archive, or of a wheel.
        sha256: in hex; empty if the list does not state it.
        md5: in hex; empty if the list does not state it.
        given: the URL as the list has it, if that holds credentials; these are in no lock and no message.
    """

    url: str
    sha256: str = ""
    md5: str = ""
    given: str = field(default="", compare=False, repr=False)

    @classmethod
    def of(cls, given: str, sha256: str = "", md5: str = "") -> PinnedUrl:
        """Package of a list, whose URL may hold credentials.

        >>> PinnedUrl.of("https://user:word@host/linux-64/a-1-0.conda")
        PinnedUrl(url='https://host/linux-64/a-1-0.conda', sha256='', md5='')
        """
        if not given.startswith(("http://", "https://")):
            return cls(given, sha256, md5)
        url, credential = split_credential(given)
        return cls(url, sha256, md5, "" if credential is None else given)

    @property
    def is_wheel(self) -> bool:
        """True if the package is a wheel from PyPI."""
        return self.url.split("#")[0].split("?")[0].endswith(".whl")


@dataclass(frozen=True)
class EnvironmentSpec:
    """Requirements of an environment: Python, libraries, channels and platform.

    Versions are exact. Only where a lock file pins the packages, or is about to, may they be ranges.

    Attributes:
        python: version of Python, such as ``3.11.7``.
        libraries: versions by name; ``channel::name`` takes a library from one channel.
        channels: names, URLs or directories, in order of preference.
        platform: conda platform, such as ``linux-64``.
        pypi: versions of PyPI packages by name, with extras in brackets.
        virtual_packages: declared properties of the machine: versions by name, such as ``__glibc``.
        pinned: a complete list of packages, which is not solved; else empty.
        locked: the packages that the lock file beside the flow has for it; None without a lock file.
        place: file and line of the step that asks for it, for messages; None if no step does.
        given_channels: channels of a file of the flow as that has them: with credentials.
    """

    python: str
    libraries: Mapping[str, str] = field(hash=False)
    channels: tuple[str, ...]
    platform: str
    pypi: Mapping[str, str] = field(default_factory=dict, hash=False)
    virtual_packages: Mapping[str, str] = field(default_factory=dict, hash=False)
    pinned: tuple[PinnedUrl, ...] = ()
    locked: Lock | None = field(default=None, hash=False)
    place: tuple[str, int] | None = field(default=None, compare=False)
    given_channels: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def names(self) -> set[str]:
        """Names of the packages that are locked or listed, or of those that are asked for."""
        if self.locked is not None:
            return {each.name for each in self.locked.packages}
        listed = (each.url.rpartition("/")[2].rsplit("-", 2)[0] for each in self.pinned)
        return {*self.libraries, *self.pypi, *listed}

    @cached_property
    def id(self) -> str:
        """Hex SHA-256 of the canonical JSON of the spec: the same on every machine and in every version.

        With a lock file it is that of the locked packages instead: one range may be locked in many ways, and
        each is an environment of its own.

        >>> a = EnvironmentSpec("3.11.7", {"b": "1", "a": "2"}, ("conda-forge",), "linux-64")
        >>> b = EnvironmentSpec("3.11.7", {"a": "2", "b": "1"}, ("conda-forge",), "linux-64")
        >>> a.id == b.id
        True
        """
        if self.locked is not None:
            return self.locked.spec_id
        content: dict[str, object] = {
            "python": self.python,
            "libraries": dict(self.libraries),
            "channels": list(self.channels),
            "platform": self.platform,
            "virtual_packages": dict(self.virtual_packages),
        }
        # Keys that were added later are left out when empty, so that the ids of older specs do not change.
        if self.pypi:
            content["pypi"] = dict(self.pypi)
        if self.pinned:
            content["pinned"] = sorted([each.url, each.sha256, each.md5] for each in self.pinned)
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()


def is_exact(version: str) -> bool:
    """Whether a version is exactly one, and no range.

    >>> is_exact("1!2.0+local"), is_exact("1.*"), is_exact("")
    (True, False, False)
    """
    return _EXACT.fullmatch(version) is not None


def constraint(version: str) -> str:
    """The version as a solver takes it behind a package's name; empty for any version.

    >>> constraint("1.2"), constraint(">=1, <2"), constraint("*")
    ('==1.2', '>=1,<2', '')
    """
    if is_exact(version):
        return f"=={version}"
    text = _AROUND.sub(r"\1", version.strip())
    return "" if text == "*" else text


def python_range(version: str) -> str:
    """The version of Python; less than three numbers mean all versions that begin with them, as in conda.

    >>> python_range("3"), python_range("3.11"), python_range("3.11.7")
    ('3.*', '3.11.*', '3.11.7')
    """
    return f"{version}.*" if _BEGINNING.fullmatch(version) else version
