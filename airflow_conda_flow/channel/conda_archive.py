"""Writer of ``.conda`` files: the same content always gives the same bytes.

Format: https://docs.conda.io/projects/conda-build/en/stable/resources/package-spec.html
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
import tarfile
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

MODIFIED = 315532800
"""Time of all files in packages, the start of 1980; with real times, the same content would give other bytes.

Conda clients keep it when they install a package. rattler changes earlier times to this one.
"""

# The earliest time that a zip file can hold: with a real time, the same content would give other bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)
# Measured on numpy (65 MB): level 3 takes 0.3 s; level 6 takes 0.8 s and is 9 % smaller; .tar.bz2 takes 5 s.
_LEVEL = 3


@dataclass(frozen=True)
class Entry:
    """A file or symbolic link in a package.

    Attributes:
        path: installed path, relative to the prefix.
        data: content; empty for a link.
        executable: True if it gets the mode 755 and not 644.
        link: target of a symbolic link; None for a file.
        placeholder: text in the data that conda clients replace by the prefix; None if there is none.
    """

    path: str
    data: bytes = b""
    executable: bool = False
    link: str | None = None
    placeholder: str | None = None


@dataclass(frozen=True)
class CondaPackage:
    """A package that is not written yet.

    Attributes:
        index: content of ``info/index.json``.
        read_entries: yields the files; called only if the package is written.
        link: content of ``info/link.json``; for ``noarch: python`` only.
    """

    index: dict[str, Any]
    read_entries: Callable[[], Iterable[Entry]]
    link: dict[str, Any] | None = None

    @property
    def file_name(self) -> str:
        """File name, such as ``numpy-1.26.4-py311_0.conda``."""
        return "{name}-{version}-{build}.conda".format(**self.index)


def write_conda(package: CondaPackage, folder: Path) -> Path:
    """Write the package into a platform folder of a channel, and return its path; the file appears whole."""
    entries = sorted(package.read_entries(), key=lambda entry: entry.path)
    stem = package.file_name.removesuffix(".conda")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / package.file_name
    temporary = folder / f".{package.file_name}.{os.getpid()}-{secrets.token_hex(4)}"
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            # Stored and not deflated, as the format demands: the inner archives are compressed already.
            members = {
                "metadata.json": json.dumps({"conda_pkg_format_version": 2}).encode(),
                f"pkg-{stem}.tar.zst": _tar(entries),
                f"info-{stem}.tar.zst": _tar(_info(package, entries)),
            }
            for name, data in members.items():
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _info(package: CondaPackage, entries: list[Entry]) -> list[Entry]:
    documents: dict[str, Any] = {
        "index.json": package.index,
        "paths.json": {"paths": [_path(entry) for entry in entries], "paths_version": 1},
        "about.json": {},
    }
    if package.link is not None:
        documents["link.json"] = package.link
    return [
        Entry(f"info/{name}", json.dumps(document, indent=1, sort_keys=True).encode())
        for name, document in sorted(documents.items())
    ] + [Entry("info/files", "".join(f"{entry.path}\n" for entry in entries).encode())]


def _path(entry: Entry) -> dict[str, Any]:
    described: dict[str, Any] = {
        "_path": entry.path,
        "path_type": "hardlink" if entry.link is None else "softlink",
        "sha256": hashlib.sha256(entry.data).hexdigest(),
        "size_in_bytes": len(entry.data),
    }
    if entry.placeholder is not None:
        described.update(file_mode="text", prefix_placeholder=entry.placeholder)
    return described


def _tar(entries: list[Entry]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            # TarInfo's defaults (user and group 0) keep the bytes the same on every machine.
            member = tarfile.TarInfo(entry.path)
            member.mtime = MODIFIED
            member.mode = 0o755 if entry.executable else 0o644
            if entry.link is not None:
                member.type, member.linkname = tarfile.SYMTYPE, entry.link
                archive.addfile(member)
            else:
                member.size = len(entry.data)
                archive.addfile(member, io.BytesIO(entry.data))
    return zstandard.ZstdCompressor(level=_LEVEL).compress(stream.getvalue())
