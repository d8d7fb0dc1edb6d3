"""The runner as an archive in the datastore, for containers whose image does not hold it.

    runners/<platform>/<runner id>.json        the archive's sha256 and size: published once
    runners/<platform>/<sha256>.tar.gz         the directory that ``self_contained.py`` makes

The *runner id* is a digest of the archive's contents: our sources, and the versions of the libraries, of
Python and of libc.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import platform
import shutil
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.digest import file_sha256
from airflow_conda_flow.datastore.keeping import gone_again, keeper
from airflow_conda_flow.datastore.local_storage import LocalStorage
from airflow_conda_flow.datastore.notice import warn
from airflow_conda_flow.datastore.publish import publish_once, read_published
from airflow_conda_flow.datastore.remembered import remembered_key
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.environments.platform import current_platform
from airflow_conda_flow.errors import DamagedDocument, NotInDatastore, SettingError
from airflow_conda_flow.records.document import VERSION, damaged, other_than, read_document, stored_bytes
from airflow_conda_flow.records.kinds import DIGEST, Shape, is_count
from airflow_conda_flow.runner import self_contained
from airflow_conda_flow.runner.home import runner_home

_DISTRIBUTION = "airflow-conda-flow"
_EXTRA = "runner"
_LEVEL = 4  # gzip level: 10 % larger than with 9, in a quarter of the time
_SHAPE = Shape({"runner_id": DIGEST, "sha256": DIGEST, "size": is_count})
_ADVICE = "Delete it: the next run stores it again."
_PACKAGE = Path(__file__).parent.parent


def published_runner(storage: Storage, cache_dir: Path | None = None) -> str:
    """Key of this runner's archive, which is made and uploaded unless the datastore has it.

    The archive contains this process's interpreter and libraries. If it is there already with the right size,
    this costs two small requests. Its bytes are verified by the containers that fetch it.

    Args:
        storage: the datastore's.
        cache_dir: directory in which this machine remembers the archive that it made or met first: it takes
            no other one that the datastore names later. None remembers nothing.

    Raises:
        SettingError: the archive is missing, and this machine cannot make one that runs in containers.
        DatastoreError: the datastore cannot be read or written.
    """
    subdir = current_platform()
    pointer = layout.runner_pointer(subdir, runner_id())
    local = None if cache_dir is None else LocalStorage(cache_dir)
    known = None if local is None else _known(local, storage, pointer)
    data = read_published(storage, pointer)
    if data is not None:
        with contextlib.suppress(DamagedDocument):
            found = _read(storage, pointer, data)
            if known is not None and known["sha256"] != found["sha256"]:
                warn(
                    f"{pointer} in the datastore {storage.url} named a runner that this machine does not "
                    "know. It was not used. Find out who wrote it (docs/security.md)."
                )
                found = known
                data = stored_bytes(known)
                storage.write_bytes(pointer, data)
            key = layout.runner_archive(subdir, found["sha256"])
            keeps = keeper(storage)
            is_kept = all(keeps.keep(each, gone_again(storage, each)) for each in (key, pointer))
            if is_kept and storage.size(key) == found["size"]:
                _remember(local, storage, pointer, data)
                return key
    data = _publish(storage, subdir, pointer, is_new=data is None)
    _remember(local, storage, pointer, data)
    return layout.runner_archive(subdir, _read(storage, pointer, data)["sha256"])


def _known(local: LocalStorage, storage: Storage, pointer: str) -> dict[str, Any] | None:
    copy = remembered_key(storage, pointer)
    try:
        return _read(local, copy, local.read_bytes(copy))
    except (NotInDatastore, DamagedDocument):
        return None


def _remember(local: LocalStorage | None, storage: Storage, pointer: str, data: bytes) -> None:
    if local is not None:
        local.write_bytes(remembered_key(storage, pointer), data)


def _read(storage: Storage, pointer: str, data: bytes) -> dict[str, Any]:
    name = f"{pointer} in the datastore {storage.url}"
    document = read_document(data, name, _ADVICE, wrong=_SHAPE.fault)
    if fault := other_than(document, {"runner_id": runner_id()}):
        raise damaged(name, fault, _ADVICE)
    return document


@cache
def runner_id() -> str:
    """Hex sha256 that identifies the runner that this process would pack."""
    # Python's and libc's versions count too, because the archive contains both as binaries.
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(_PACKAGE)}\0".encode() + path.read_bytes())
    parts = [f"{each.name}=={each.version}" for each in _distributions()]
    digest.update("\0".join([*parts, sys.version, *platform.libc_ver()]).encode())
    return digest.hexdigest()


def _publish(storage: Storage, subdir: str, pointer: str, *, is_new: bool) -> bytes:
    """Make the archive, upload it, and store the pointer to it; returns the pointer that is stored."""
    with tempfile.TemporaryDirectory() as folder:
        home = runner_home() or _make(Path(folder) / "runner")
        archive = Path(folder) / "runner.tar.gz"
        with tarfile.open(archive, "w:gz", compresslevel=_LEVEL) as tar:
            for entry in sorted(home.iterdir()):
                tar.add(entry, entry.name, filter=_owned_by_root)
        sha256, size = file_sha256(archive), archive.stat().st_size
        key = layout.runner_archive(subdir, sha256)
        if not (storage.holds(key, sha256) and keeper(storage).keep(key, gone_again(storage, key))):
            storage.upload(archive, key)
        content = {"version": VERSION, "runner_id": runner_id(), "sha256": sha256, "size": size}
        data = stored_bytes(content)
        if is_new:
            return publish_once(storage, pointer, data)
        storage.write_bytes(pointer, data)  # it is damaged, or the archive is missing or cut short
        return data


def _make(target: Path) -> Path:
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        raise SettingError(
            "The image of a step holds no runner, and the runner can be made ready for it on Linux with "
            "glibc alone. Publish it once from the runner image: docker run --env CONDA_FLOW_DATASTORE=s3 "
            "--env CONDA_FLOW_DATASTORE_ROOT=s3://bucket/prefix IMAGE runner publish. Or base the step's "
            "image on the runner image."
        )
    self_contained.add_interpreter(target)
    site = target / "site"
    for distribution in _distributions():
        for file in distribution.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                place = site / file
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(str(file.locate()), place)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(_PACKAGE, site / _PACKAGE.name, ignore=ignored, dirs_exist_ok=True)
    self_contained.trim(target)
    self_contained.add_shared_libraries(target)
    self_contained.add_start(target)
    self_contained.compile_modules(target)
    return target


@cache
def _distributions() -> list[importlib.metadata.Distribution]:
    """Distributions of the extra ``runner`` with all their dependencies, sorted by name."""
    if home := runner_home():
        return sorted(importlib.metadata.distributions(path=[str(home / "site")]), key=lambda each: each.name)
    from packaging.requirements import Requirement  # noqa: PLC0415 - not in a container

    # Only installed distributions count, in the versions that are installed: nothing is downloaded.
    found: dict[str, importlib.metadata.Distribution] = {}
    stated = [Requirement(text) for text in importlib.metadata.requires(_DISTRIBUTION) or ()]
    waiting = [each for each in stated if _EXTRA in str(each.marker or "")]
    while waiting:
        name = waiting.pop().name
        if name not in found:
            found[name] = importlib.metadata.distribution(name)
            needed = [Requirement(text) for text in found[name].requires or ()]
            waiting += [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    return [found[name] for name in sorted(found)]


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    # The user who packs is not known in the container, and would only make the archive differ.
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry
