"""Links verified archives into a new prefix, with py-rattler."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import rattler

from airflow_conda_flow.environments.lock import Lock, LockedPackage


def link(lock: Lock, archives: Mapping[str, Path], target: Path, final: Path, cache: Path) -> None:
    """Make an environment in ``target`` that works once it is renamed to ``final``.

    Args:
        lock: what belongs into it.
        archives: a verified archive of every package, by its sha256.
        target: a directory that does not exist.
        final: the path that is written into its files.
        cache: where extracted packages are kept, to be linked again.
    """
    records = [_record(each, archives[each.sha256]) for each in lock.packages]
    asyncio.run(
        rattler.install(
            records,
            target,
            cache_dir=cache,
            platform=rattler.Subdir(lock.platform),
            alternative_target_prefix=final,
            # With its progress bars py-rattler may abort the process at exit.
            show_progress=False,
        )
    )


def _record(package: LockedPackage, archive: Path) -> rattler.RepoDataRecord:
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
    return rattler.RepoDataRecord(record, package.file_name, archive.as_uri(), package.channel)
