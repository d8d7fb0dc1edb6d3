"""Reads and writes pixi's lock files, with py-rattler.

https://pixi.sh/latest/workspace/lockfile/
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import rattler
from rattler import CondaLockedBinaryPackage, PypiLockedPackage

from airflow_conda_flow.environments.lock import Lock, LockedPackage
from airflow_conda_flow.environments.lock_yaml import load_yaml, yaml_text
from airflow_conda_flow.environments.rattler_record import rattler_record
from airflow_conda_flow.environments.solve.pinned import pypi_package
from airflow_conda_flow.environments.spec import PinnedUrl
from airflow_conda_flow.errors import EnvironmentFailure, FlowDefinitionError


def read_pixi_lock(path: Path, platform: str) -> tuple[PinnedUrl, ...]:
    """Packages of the file's default environment for a platform.

    Raises:
        FlowDefinitionError: the file is no ``pixi.lock``, has nothing for the platform, or names a package
            that is no archive with a sha256.
    """
    try:
        environment = rattler.LockFile.from_path(path).environment("default")
    except Exception as error:  # py-rattler raises plain exceptions here
        raise FlowDefinitionError(f"It cannot be read as a pixi.lock: {error}.", str(path)) from error
    platforms = {} if environment is None else {str(each.name): each for each in environment.platforms()}
    if environment is None or platform not in platforms:
        raise FlowDefinitionError(
            f"Its default environment has nothing for {platform}, where the step runs. It has: "
            f"{', '.join(sorted(platforms)) or 'none'}. "
            "Add the platform to the pixi workspace and lock again.",
            str(path),
        )
    return tuple(_pinned(each, path) for each in _packages(environment, platforms[platform]))


def read_pixi_packages(path: Path) -> dict[str, dict[str, tuple[LockedPackage, ...]]]:
    """Packages by environment and platform; none of them is ``stated``.

    Raises:
        FlowDefinitionError: a package is no archive with a sha256.
        Exception: as py-rattler raises it, if the file is no lock file.
    """
    return {
        name: {
            str(platform): tuple(_locked(each, path) for each in _packages(environment, platform))
            for platform in sorted(environment.platforms(), key=str)
        }
        for name, environment in sorted(rattler.LockFile.from_path(path).environments(), key=itemgetter(0))
    }


def _packages(
    environment: rattler.Environment, platform: rattler.LockPlatform
) -> list[rattler.LockedPackage]:
    """Packages in the order of their locations; py-rattler's own order differs from one time to the next."""
    return sorted(environment.packages(platform) or (), key=lambda each: str(each.location))


def pixi_document(environments: Mapping[str, tuple[Sequence[str], Iterable[Lock]]]) -> dict[str, Any]:
    """Content of a lock file.

    Args:
        environments: by name: the URLs of the channels, and one lock for each platform.
    """
    names = sorted({lock.platform for _, locks in environments.values() for lock in locks})
    platforms = {name: rattler.LockPlatform(name) for name in names}
    file = rattler.LockFile(list(platforms.values()))
    wheels: dict[str, str] = {}
    for name, (channels, locks) in environments.items():
        file.set_channels(name, [rattler.LockChannel(each) for each in channels])
        for lock in locks:
            platform = platforms[lock.platform]
            for package in lock.packages:
                url = package.url
                if package.kind == "conda":
                    file.add_conda_package(name, platform, rattler_record(package, url))
                else:
                    url = url.split("#", maxsplit=1)[0]
                    wheels[url] = package.sha256
                    file.add_pypi_package(name, platform, package.name, package.version, url)
    with tempfile.TemporaryDirectory(prefix="airflow-conda-flow-") as folder:
        path = Path(folder, "pixi.lock")
        file.to_path(path)
        document: dict[str, Any] = load_yaml(path.read_bytes())
    # py-rattler cannot be given the hash of a wheel, which the format has.
    for package in document["packages"]:
        if "pypi" in package:
            package["sha256"] = wheels[package["pypi"]]
    return document


def write_pixi_lock(lock: Lock, path: Path) -> None:
    """Write a lock as the default environment of a ``pixi.lock``.

    Raises:
        EnvironmentFailure: the file cannot be written.
    """
    channels = dict.fromkeys(each.channel for each in lock.packages if each.channel)
    try:
        path.write_text(yaml_text(pixi_document({"default": (list(channels), [lock])})), encoding="utf-8")
    except OSError as error:
        raise EnvironmentFailure(f"{path} cannot be written: {error}.") from error


def _locked(package: rattler.LockedPackage, path: Path) -> LockedPackage:
    pinned = _pinned(package, path)
    if isinstance(package, PypiLockedPackage):
        return pypi_package(package.name, package.version, pinned.url, pinned.sha256, 0, stated=False)
    assert isinstance(package, CondaLockedBinaryPackage)  # noqa: S101 - ``_pinned`` refuses others
    record = package.repo_data_record()
    kind = "python" if record.noarch.python else "generic" if record.noarch.generic else None
    return LockedPackage(
        name=record.name.normalized,
        version=str(record.version),
        build=str(record.build),
        build_number=record.build_number,
        subdir=str(record.subdir),
        url=pinned.url,
        sha256=pinned.sha256,
        size=record.size or 0,
        channel=(record.channel or "").rstrip("/"),
        depends=tuple(record.depends),
        noarch=kind,
        python_site_packages_path=record.python_site_packages_path,
        stated=False,
    )


def _pinned(package: rattler.LockedPackage, path: Path) -> PinnedUrl:
    location = str(package.location)
    sha256 = _sha256(package)
    if isinstance(package, (CondaLockedBinaryPackage, PypiLockedPackage)) and sha256:
        url = location if "://" in location else (path.parent / location).absolute().as_uri()
        if isinstance(package, CondaLockedBinaryPackage) or PinnedUrl.of(url).is_wheel:
            return PinnedUrl.of(url, sha256=sha256)
    raise FlowDefinitionError(
        f"It names {PinnedUrl.of(location).url}, which is not an archive with a sha256. Packages that are "
        "built from source cannot be taken; publish them to a channel or an index.",
        str(path),
    )


def _sha256(package: rattler.LockedPackage) -> str:
    try:
        digest = package.hashes and package.hashes.sha256
    except AttributeError:  # py-rattler 0.28 fails so for a package without hashes
        return ""
    return digest.hex() if digest else ""
