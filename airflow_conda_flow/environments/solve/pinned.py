"""Makes a lock from a complete list of packages: nothing is solved, every archive is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from airflow_conda_flow.environments.lock import Lock, LockedPackage
from airflow_conda_flow.environments.side_by_side import side_by_side
from airflow_conda_flow.environments.spec import EnvironmentSpec, PinnedUrl
from airflow_conda_flow.environments.wheels import wheel_identity


def lock_of_pinned(spec: EnvironmentSpec, taken: Sequence[tuple[Path, str]]) -> Lock:
    """Lock of a spec that is a complete list of packages.

    Args:
        spec: the spec.
        taken: path and sha256 of each archive, in the order of the list.

    Raises:
        PackageError: an archive is no package.
    """
    found = zip(spec.pinned, taken, strict=True)
    return Lock(spec.id, spec.platform, tuple(side_by_side(_locked, list(found))))


def _locked(found: tuple[PinnedUrl, tuple[Path, str]]) -> LockedPackage:
    pinned, (path, sha256) = found
    size = path.stat().st_size
    if pinned.is_wheel:
        name, version = wheel_identity(pinned.url)
        return pypi_package(name, version, pinned.url, sha256, size, stated=True)
    from airflow_conda_flow.environments.rattler_archive import read_archive  # noqa: PLC0415 - heavy

    return read_archive(path, pinned.url, sha256, size)


def pypi_package(name: str, version: str, url: str, sha256: str, size: int, *, stated: bool) -> LockedPackage:
    """Package of a lock for a wheel; what only conda packages have is empty."""
    return LockedPackage(
        name=name,
        version=version,
        build="",
        build_number=0,
        subdir="",
        url=url,
        sha256=sha256,
        size=size,
        channel="",
        depends=(),
        noarch=None,
        python_site_packages_path=None,
        stated=stated,
        kind="pypi",
    )
