"""Makes a prefix from verified archives, with py-rattler."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import rattler
from rattler.exceptions import (
    CacheDirError,
    ExtractError,
    InstallerError,
    IoError,
    LinkError,
    TransactionError,
)
from rattler.package_cache import PackageCache, PackageCacheLayer, ValidationMode

from airflow_conda_flow.environments.lock import Lock
from airflow_conda_flow.environments.rattler_loop import run
from airflow_conda_flow.environments.rattler_record import rattler_record
from airflow_conda_flow.environments.stopping import check
from airflow_conda_flow.errors import EnvironmentFailure

_LOOK_EVERY = 0.1  # seconds
_FAILURES = (CacheDirError, ExtractError, InstallerError, IoError, LinkError, TransactionError)


def link(
    lock: Lock,
    archives: Mapping[str, Path],
    target: Path,
    final: Path,
    cache: Path,
    advance: Callable[[int], None] = lambda _more: None,
    cancel: threading.Event | None = None,
) -> None:
    """Make an environment in ``target`` that works once it is renamed to ``final``; wheels are left out.

    Args:
        lock: the packages of the environment.
        archives: a verified archive of every package, by its sha256.
        target: a directory that does not exist.
        final: the path that is written into the environment's files.
        cache: directory of extracted packages, which later environments link again.
        advance: called with the number of further packages that are linked.
        cancel: when set, the work ends.

    Raises:
        Stopped: ``cancel`` was set.
        EnvironmentFailure: a package is malformed, or the disk is full or not writable.
    """
    try:
        run(_watched(_install(lock, archives, target, final, cache), target, advance, cancel))
    except _FAILURES as error:
        reason = ": ".join(dict.fromkeys(str(error).split("\n")))
        raise EnvironmentFailure(
            f"The environment {final} cannot be made of its {len(lock.packages)} packages: {reason}. "
            "Is there room on the disk, and may this user write there? The setting cache_dir names the place."
        ) from error


async def _watched(
    work: Coroutine[Any, Any, None],
    target: Path,
    advance: Callable[[int], None],
    cancel: threading.Event | None,
) -> None:
    """Wait for the work, and count what it has done by the records that it writes for linked packages.

    py-rattler reports nothing for archives that are files.
    """
    task, linked = asyncio.ensure_future(work), 0
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK_EVERY)
            check(cancel)
            now = _count(target / "conda-meta")
            advance(now - linked)
            linked = now
        task.result()
    finally:
        # Threads of py-rattler finish the package that they are at; the caller removes what they write.
        task.cancel()


def _count(folder: Path) -> int:
    try:
        with os.scandir(folder) as entries:
            return sum(1 for each in entries if each.name.endswith(".json"))
    except FileNotFoundError:
        return 0


async def _install(lock: Lock, archives: Mapping[str, Path], target: Path, final: Path, cache: Path) -> None:
    # Files of a prefix are hard links to those of the cache, so a step may have changed the cache. Every
    # extracted package is therefore checked against its list of digests, and extracted again if it differs.
    checked = PackageCacheLayer(cache).with_validation_mode(ValidationMode.full())
    await rattler.install(
        [
            rattler_record(each, archives[each.sha256].as_uri())
            for each in lock.packages
            if each.kind == "conda"
        ],
        target,
        package_cache=PackageCache.from_layers([checked]),
        platform=rattler.Subdir(lock.platform),
        alternative_target_prefix=final,
        # With its progress bars py-rattler may abort the process at exit.
        show_progress=False,
    )
