"""``Lock``: every package of one solve, each with its URL and its hash."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from urllib.parse import unquote

from airflow_conda_flow.errors import PackageError
from airflow_conda_flow.records.document import stored_bytes
from airflow_conda_flow.records.lock_document import VERSION, damaged_lock, read_lock_document

_SHA256 = re.compile("[0-9a-f]{64}")
# Of file names and fields that become parts of paths. File systems allow 255 bytes, some of which temporary
# names and rattler's ".json" need.
_PART = re.compile(r"(?!\.)[^/\\\x00-\x1f\x7f\ud800-\udfff]{1,220}")
_ASK = "Ask whoever runs the channel, or delete the lock that names the package."


@dataclass(frozen=True)
class LockedPackage:
    """One package of a lock.

    Locks and the answers of channels, indexes and solvers are input: a package whose fields would lead out of
    the folders that they are used in is not made.

    Raises:
        PackageError: a field cannot be a part of a path.

    Attributes:
        name: the package's name.
        version: its version.
        build: its build string.
        build_number: its build number.
        subdir: its folder in the channel, such as ``noarch``; empty for a wheel.
        url: the URL of its archive when it was solved.
        sha256: of the archive, in hex.
        size: of the archive, in bytes; 0 if the channel or index does not state it.
        channel: the channel's URL; empty for a wheel.
        depends: its dependencies as the channel states them; empty for a wheel.
        noarch: ``python``, ``generic`` or None.
        python_site_packages_path: of a Python whose libraries are not in the usual directory, else None.
        stated: whether the spec names it.
        kind: ``conda``, or ``pypi`` for a wheel.
    """

    name: str
    version: str
    build: str
    build_number: int
    subdir: str
    url: str
    sha256: str
    size: int
    channel: str
    depends: tuple[str, ...]
    noarch: str | None
    python_site_packages_path: str | None
    stated: bool
    kind: str = "conda"

    def __post_init__(self) -> None:
        _ = self.file_name
        parts = {"name": self.name, "version": self.version, "build": self.build, "subdir": self.subdir}
        wrong = [name for name, value in parts.items() if value and not _PART.fullmatch(value)]
        if not _SHA256.fullmatch(self.sha256):
            wrong.append("sha256")
        inner = self.python_site_packages_path or ""
        if inner.startswith("/") or ".." in inner.split("/"):
            wrong.append("python_site_packages_path")
        if wrong:
            value = getattr(self, wrong[0])
            raise PackageError(
                f"The package {_shown(self.url)} was refused: its {wrong[0]} is {value!r}. {_ASK}"
            )

    @property
    def file_name(self) -> str:
        """File name of the archive."""
        return file_name_of(self.url)


def _shown(url: str) -> str:
    return url if url.isprintable() else repr(url)


def file_name_of(url: str) -> str:
    """File name at the end of an archive's URL, safe as the name of a file.

    URLs come from locks, and from the answers of channels, indexes and solvers.

    Raises:
        PackageError: it is no name of a file: empty, hidden, too long, or a path.

    >>> file_name_of("https://host/linux-64/a-1%2B2-0.conda#sha256=12")
    'a-1+2-0.conda'
    """
    name = unquote(url.split("#", 1)[0].split("?", 1)[0].rsplit("/", 1)[-1])
    if not _PART.fullmatch(name):
        raise PackageError(
            f"The package {_shown(url)} was refused: {name!r} cannot be the name of its file. {_ASK}"
        )
    return name


@dataclass(frozen=True)
class Lock:
    """The packages of one environment.

    Attributes:
        spec_id: id of the spec that was solved; of a lock file's packages, their own digest.
        platform: conda platform of the environment.
        packages: the packages that the spec names, and their dependencies.
        sha256: SHA-256 of the stored bytes, in hex; empty before it is stored.
    """

    spec_id: str
    platform: str
    packages: tuple[LockedPackage, ...]
    sha256: str = field(default="", compare=False)

    @classmethod
    def of_packages(cls, platform: str, packages: Iterable[LockedPackage]) -> Lock:
        """Lock whose id is the digest of all that it says about its packages."""
        ordered = sorted(packages, key=lambda each: (each.name, each.kind))
        content = {"platform": platform, "locked": [asdict(each) for each in ordered]}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return cls(hashlib.sha256(text.encode("ascii")).hexdigest(), platform, tuple(ordered))

    def to_bytes(self) -> bytes:
        """The lock as canonical JSON: the same packages in any order give the same bytes."""
        content = {
            "version": VERSION,
            "spec_id": self.spec_id,
            "platform": self.platform,
            "packages": [asdict(each) for each in sorted(self.packages, key=lambda p: (p.name, p.kind))],
        }
        return stored_bytes(content, indent=1)

    @classmethod
    def from_bytes(cls, data: bytes, name: str, spec_id: str, platform: str) -> Lock:
        """The lock that ``to_bytes`` wrote.

        Args:
            data: the stored bytes.
            name: the lock for messages: its path, or its key and the place where it is stored.
            spec_id: id of the spec that it must be of.
            platform: conda platform that it must be for.

        Raises:
            DamagedDocument: the bytes are not a lock's, or those of another spec's or platform's.
            DatastoreError: the lock has a newer version.
        """
        document = read_lock_document(data, name, spec_id, platform)
        try:
            packages = tuple(
                LockedPackage(**{**each, "depends": tuple(each["depends"])}) for each in document["packages"]
            )
        except PackageError as error:
            raise damaged_lock(name, str(error).rstrip(".")) from error
        except (KeyError, TypeError) as error:  # only a lock without a checksum gets here
            raise damaged_lock(name, f"a package in it cannot be read ({error})") from error
        return cls(spec_id, platform, packages, hashlib.sha256(data).hexdigest())

    @property
    def python(self) -> str:
        """Version of the environment's Python."""
        return next(each.version for each in self.packages if each.name == "python")

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of the packages' bytes and file names; the prefix is named after it.

        Specs that differ but are solved to the same packages share a prefix.
        """
        names = sorted(f"{each.sha256} {each.file_name}" for each in self.packages)
        return hashlib.sha256("\n".join(names).encode()).hexdigest()
