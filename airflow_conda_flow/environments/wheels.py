"""Wheels: choose the one for a platform, read its name, and install it into a prefix.

``installer`` installs (https://installer.pypa.io), and ``packaging`` knows the tags.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_conda_flow.environments.lock import LockedPackage, file_name_of
from airflow_conda_flow.errors import EnvironmentFailure, PackageError

if TYPE_CHECKING:
    from packaging.tags import Tag

_ARCHITECTURES = {"64": "x86_64", "aarch64": "aarch64", "ppc64le": "ppc64le", "arm64": "arm64"}
# Older names of manylinux tags, by the version of glibc that they mean (PEP 600).
_LEGACY = {(2, 5): "manylinux1", (2, 12): "manylinux2010", (2, 17): "manylinux2014"}


def wheel_identity(url: str) -> tuple[str, str]:
    """Normalized name and version of a wheel.

    Raises:
        PackageError: the URL does not end in a wheel's file name.

    >>> wheel_identity("https://host/Six-1.17.0-py2.py3-none-any.whl")
    ('six', '1.17.0')
    """
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename  # noqa: PLC0415 - most flows have no wheels

    try:
        name, version, _, _ = parse_wheel_filename(file_name_of(url))
    except InvalidWheelFilename as error:
        raise PackageError(f"{url} is not a wheel: {error}.") from error
    return str(name), str(version)


def best_wheel(
    urls: Sequence[str], python: str, platform: str, virtual_packages: Mapping[str, str]
) -> str | None:
    """URL of the wheel that an installer would choose for a Python on a platform; None if none fits."""
    from packaging.utils import parse_wheel_filename  # noqa: PLC0415 - as above

    # Tags are sorted by preference, so the lowest rank is the most specific wheel.
    ranks = {tag: rank for rank, tag in enumerate(_tags(python, platform, _platform_limit(virtual_packages)))}
    best: tuple[int, str] | None = None
    for url in urls:
        _, _, _, tags = parse_wheel_filename(file_name_of(url))
        fitting = [ranks[tag] for tag in tags if tag in ranks]
        if fitting and (best is None or min(fitting) < best[0]):
            best = (min(fitting), url)
    return None if best is None else best[1]


def install_wheels(
    packages: Iterable[LockedPackage],
    archives: Mapping[str, Path],
    target: Path,
    final: Path,
    python: str,
    advance: Callable[[int], None] = lambda _more: None,
) -> None:
    """Install wheels into a new prefix.

    Args:
        packages: the wheels.
        archives: a verified archive of each, by its sha256.
        target: the prefix while it is being made.
        final: the path that the prefix will have, for the scripts' first lines.
        python: version of its Python.
        advance: called with the number of further wheels that are installed; it may raise.

    Raises:
        EnvironmentFailure: two packages contain the same file, or a wheel is malformed.
    """
    import installer  # noqa: PLC0415 - only for environments with wheels
    from installer.destinations import SchemeDictionaryDestination  # noqa: PLC0415 - see above
    from installer.sources import WheelFile  # noqa: PLC0415 - see above

    minor = ".".join(python.split(".")[:2])
    library = str(target / "lib" / f"python{minor}" / "site-packages")
    scheme = {
        "purelib": library,
        "platlib": library,
        "headers": str(target / "include" / f"python{minor}"),
        "scripts": str(target / "bin"),
        "data": str(target),
    }
    destination = SchemeDictionaryDestination(
        scheme, interpreter=str(final / "bin" / "python"), script_kind="posix"
    )
    for package in packages:
        advance(1)
        try:
            with WheelFile.open(archives[package.sha256]) as source:
                installer.install(source, destination, {"INSTALLER": b"airflow-conda-flow\n"})
        except FileExistsError as error:
            raise EnvironmentFailure(
                f"The PyPI package {package.name} {package.version} brings a file that another package has "
                f"brought already: {error}. Keep one of them."
            ) from error
        except Exception as error:
            raise EnvironmentFailure(
                f"The wheel {package.file_name} cannot be installed: {error}."
            ) from error


def _platform_limit(virtual_packages: Mapping[str, str]) -> tuple[int, int]:
    # 2.17 is glibc's version for manylinux2014, the lowest that ``solve/pypi.py`` asks uv for.
    text = virtual_packages.get("__glibc") or virtual_packages.get("__osx") or "2.17"
    major, _, minor = text.partition(".")
    return int(major), int(minor.partition(".")[0] or 0)


@cache
def _tags(python: str, platform: str, limit: tuple[int, int]) -> list[Tag]:
    from packaging.tags import compatible_tags, cpython_tags  # noqa: PLC0415 - as above

    major, minor = (int(part) for part in python.split(".")[:2])
    platforms = list(_platforms(platform, limit))
    interpreter = f"cp{major}{minor}"
    # Before 3.8 the ABI tag ended in "m", for Python's pymalloc.
    abis = [interpreter] if (major, minor) >= (3, 8) else [f"{interpreter}m"]
    return [
        *cpython_tags((major, minor), abis, platforms),
        *compatible_tags((major, minor), interpreter, platforms),
    ]


def _platforms(platform: str, limit: tuple[int, int]) -> Iterable[str]:
    system, _, kind = platform.partition("-")
    architecture = _ARCHITECTURES[kind]
    if system == "osx":
        from packaging.tags import mac_platforms  # noqa: PLC0415 - of Macs alone

        yield from mac_platforms(limit, architecture)
        return
    for minor in range(limit[1], 4, -1):  # manylinux begins with glibc 2.5
        yield f"manylinux_{limit[0]}_{minor}_{architecture}"
        if (limit[0], minor) in _LEGACY:
            yield f"{_LEGACY[limit[0], minor]}_{architecture}"
    yield f"linux_{architecture}"
