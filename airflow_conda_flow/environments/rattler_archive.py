"""Reads the metadata in a conda archive, with py-rattler."""

from __future__ import annotations

from pathlib import Path

import rattler

from airflow_conda_flow.environments.lock import LockedPackage
from airflow_conda_flow.errors import PackageError


def read_archive(path: Path, url: str, sha256: str, size: int) -> LockedPackage:
    """Package of a lock, made from the archive's ``info/index.json``.

    Raises:
        PackageError: the archive is not a conda package.
    """
    try:
        index = rattler.IndexJson.from_package_archive(path)
    except Exception as error:  # py-rattler raises plain exceptions here
        raise PackageError(f"{url} is not a conda package: {error}.") from error
    noarch = index.noarch
    kind = "python" if noarch.python else "generic" if noarch.generic else None
    channel, subdir, _ = url.rsplit("/", 2)
    return LockedPackage(
        name=index.name.normalized,
        version=str(index.version),
        build=str(index.build),
        build_number=index.build_number,
        subdir=index.subdir or subdir,
        url=url,
        sha256=sha256,
        size=size,
        channel=channel,
        depends=tuple(index.depends),
        noarch=kind,
        python_site_packages_path=index.python_site_packages_path,
        stated=True,
    )
