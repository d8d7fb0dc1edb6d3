"""``EnvironmentSpec``: what an environment is asked to be, and the id that follows from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class EnvironmentSpec:
    """Python, pinned libraries, channels and platform.

    Attributes:
        python: such as ``3.11.7``.
        libraries: exact versions by name; ``channel::name`` picks a channel.
        channels: best first; names, URLs or directories.
        platform: such as ``linux-64``.
    """

    python: str
    libraries: Mapping[str, str] = field(hash=False)
    channels: tuple[str, ...]
    platform: str

    @cached_property
    def id(self) -> str:
        """SHA-256 of the canonical JSON of the spec: the same everywhere, forever.

        >>> a = EnvironmentSpec("3.11.7", {"b": "1", "a": "2"}, ("conda-forge",), "linux-64")
        >>> b = EnvironmentSpec("3.11.7", {"a": "2", "b": "1"}, ("conda-forge",), "linux-64")
        >>> a.id == b.id
        True
        """
        content = {
            "python": self.python,
            "libraries": dict(self.libraries),
            "channels": list(self.channels),
            "platform": self.platform,
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()
