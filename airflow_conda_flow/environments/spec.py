"""``EnvironmentSpec``: the requirements of an environment, and the id that follows from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class PinnedUrl:
    """One package of a complete list: its URL and its hash.

    Attributes:
        url: of a conda archive, or of a wheel.
        sha256: in hex; empty if the list does not state it.
        md5: in hex; empty if the list does not state it.
    """

    url: str
    sha256: str = ""
    md5: str = ""

    @property
    def is_wheel(self) -> bool:
        """True if the package is a wheel from PyPI."""
        return self.url.split("#")[0].split("?")[0].endswith(".whl")


@dataclass(frozen=True)
class EnvironmentSpec:
    """Requirements of an environment: Python, pinned libraries, channels and platform.

    Attributes:
        python: version of Python, such as ``3.11.7``.
        libraries: exact versions by name; ``channel::name`` takes a library from one channel.
        channels: names, URLs or directories, in order of preference.
        platform: conda platform, such as ``linux-64``.
        pypi: exact versions of PyPI packages by name, with extras in brackets.
        virtual_packages: declared properties of the machine: versions by name, such as ``__glibc``.
        pinned: a complete list of packages, which is not solved; else empty.
    """

    python: str
    libraries: Mapping[str, str] = field(hash=False)
    channels: tuple[str, ...]
    platform: str
    pypi: Mapping[str, str] = field(default_factory=dict, hash=False)
    virtual_packages: Mapping[str, str] = field(default_factory=dict, hash=False)
    pinned: tuple[PinnedUrl, ...] = ()

    @cached_property
    def id(self) -> str:
        """Hex SHA-256 of the canonical JSON of the spec: the same on every machine and in every version.

        >>> a = EnvironmentSpec("3.11.7", {"b": "1", "a": "2"}, ("conda-forge",), "linux-64")
        >>> b = EnvironmentSpec("3.11.7", {"a": "2", "b": "1"}, ("conda-forge",), "linux-64")
        >>> a.id == b.id
        True
        """
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
