"""Reads and writes ``pixi.lock`` files, with py-rattler."""

from __future__ import annotations

from pathlib import Path

import rattler
from rattler import CondaLockedBinaryPackage, PypiLockedPackage

from airflow_conda_flow.environments.lock import Lock
from airflow_conda_flow.environments.rattler_record import rattler_record
from airflow_conda_flow.environments.spec import PinnedUrl
from airflow_conda_flow.errors import EnvironmentFailure, FlowDefinitionError


def read_pixi_lock(path: Path, platform: str) -> tuple[PinnedUrl, ...]:
    """Packages of the file's default environment for a platform.

    Raises:
        FlowDefinitionError: the file is no ``pixi.lock``, has nothing for the platform, or names a package
            that is no archive with a sha256.
    """
    try:
        environment = rattler.LockFile.from_path(path).default_environment()
    except Exception as error:  # py-rattler raises plain exceptions here
        raise FlowDefinitionError(f"It is no pixi.lock that can be read: {error}.", str(path)) from error
    platforms = {} if environment is None else {str(each.name): each for each in environment.platforms()}
    if environment is None or platform not in platforms:
        raise FlowDefinitionError(
            f"Its default environment has nothing for {platform}, where the step runs. It has: "
            f"{', '.join(sorted(platforms)) or 'none'}. "
            "Add the platform to the pixi workspace and lock again.",
            str(path),
        )
    packages = environment.packages(platforms[platform]) or []
    return tuple(_pinned(each, path) for each in packages)


def write_pixi_lock(lock: Lock, path: Path) -> None:
    """Write a lock as the default environment of a ``pixi.lock``.

    Raises:
        EnvironmentFailure: the file cannot be written, or the lock has PyPI packages, for which
            py-rattler cannot write hashes.
    """
    wheels = [each.name for each in lock.packages if each.kind != "conda"]
    if wheels:
        raise EnvironmentFailure(
            f"A pixi.lock of PyPI packages would have no hashes for them: {', '.join(wheels)}. "
            "Export as explicit, which names them with hashes for pip."
        )
    platform = rattler.LockPlatform(lock.platform)
    file = rattler.LockFile([platform])
    channels = dict.fromkeys(each.channel for each in lock.packages)
    file.set_channels("default", [rattler.LockChannel(each) for each in channels])
    for package in lock.packages:
        file.add_conda_package("default", platform, rattler_record(package, package.url))
    try:
        file.to_path(path)
    except Exception as error:  # py-rattler raises plain exceptions here
        raise EnvironmentFailure(f"{path} cannot be written: {error}.") from error


def _pinned(package: rattler.LockedPackage, path: Path) -> PinnedUrl:
    location = str(package.location)
    hashes = package.hashes
    if isinstance(package, (CondaLockedBinaryPackage, PypiLockedPackage)) and hashes and hashes.sha256:
        url = location if "://" in location else (path.parent / location).absolute().as_uri()
        if isinstance(package, CondaLockedBinaryPackage) or url.endswith(".whl"):
            return PinnedUrl(url, sha256=hashes.sha256.hex())
    raise FlowDefinitionError(
        f"It names {location}, which is no archive with a sha256. Packages that are built from source "
        "cannot be taken; publish them to a channel or an index.",
        str(path),
    )
