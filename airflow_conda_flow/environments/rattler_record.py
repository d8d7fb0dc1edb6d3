"""Converts a package of a lock to py-rattler's record."""

from __future__ import annotations

import rattler

from airflow_conda_flow.environments.lock import LockedPackage


def rattler_record(package: LockedPackage, url: str) -> rattler.RepoDataRecord:
    """py-rattler's record of a package.

    Args:
        package: a conda package of a lock.
        url: URL of its archive, which may be a file.
    """
    record = rattler.PackageRecord(
        package.name,
        package.version,
        rattler.BuildString(package.build),
        package.build_number,
        package.subdir,
        noarch=package.noarch,  # type: ignore[arg-type]
        depends=list(package.depends),
        sha256=bytes.fromhex(package.sha256),
        size=package.size,
        python_site_packages_path=package.python_site_packages_path,
    )
    return rattler.RepoDataRecord(record, package.file_name, url, package.channel)
