"""Places of the cache directory that several parts use."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from airflow_conda_flow.environments.lock import Lock


def extracted(cache_dir: Path) -> Path:
    """Folder of extracted packages, whose files prefixes link to."""
    return cache_dir / "extracted"


def makers_mutex(cache_dir: Path) -> Path:
    """Mutex shared by those who make something of packages, held by who removes packages."""
    return cache_dir / ".makers.mutex"


def note_extracted(cache_dir: Path, lock: Lock) -> None:
    """Note that the extracted packages of a lock were used now."""
    wanted = {f"{each.name}-{each.version}-{each.build}" for each in lock.packages if each.kind == "conda"}
    with contextlib.suppress(OSError), os.scandir(extracted(cache_dir)) as entries:
        for entry in entries:
            if entry.is_dir() and not wanted.isdisjoint(_starts(entry.name)):
                with contextlib.suppress(OSError):
                    os.utime(entry.path)


def _starts(name: str) -> list[str]:
    """The name and its beginnings: py-rattler may add something that tells two channels' packages apart."""
    parts = name.split("-")
    return ["-".join(parts[:count]) for count in range(1, len(parts) + 1)]
