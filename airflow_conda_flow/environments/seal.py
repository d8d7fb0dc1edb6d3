"""The seal of a prefix: what its files were when it was made, to see later what has changed them.

Files of a prefix are hard links to the extracted packages, and so to other prefixes. A step that writes into
one changes all of them. The seal is a file beside the prefix. Comparing it costs one ``lstat`` for each file,
and no file is read; ``differences`` reads all.

Bytecode is left out, because Python adds it when a module is first imported. It replaces that of packages
where it does not take it.
"""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_VERSION = 1  # of the seal's layout; a seal of another version is that of no prefix, which is made again
_BYTECODE = "__pycache__"
# A new file counts where Python or a shell would find it. Elsewhere programs keep caches, as fontconfig does.
_SEARCHED = ("bin/", "lib/python")
_RECORDS = "conda-meta/"  # of the installer: they name its cache, and nothing runs them
_WRITABLE = 0o222

_State = tuple[int, int, int, int]  # mode, size, mtime in nanoseconds, inode


def seal_path(prefix: Path) -> Path:
    """Where the seal of a prefix is."""
    return prefix.with_name(f".{prefix.name}.seal")


def make_seal(folder: Path) -> bytes:
    """Take the right to write from all files of a prefix, and return its seal.

    The folder may be renamed afterwards. The superuser can write all the same, and so can whoever gives
    himself the right again.

    Raises:
        OSError: the folder cannot be read.
    """
    for path, status in _entries(str(folder), with_bytecode=True):
        if stat.S_ISREG(status.st_mode) and status.st_mode & _WRITABLE:
            with contextlib.suppress(PermissionError):  # another user's, in a cache that several users share
                (folder / path).chmod(stat.S_IMODE(status.st_mode) & ~_WRITABLE)
    files = {path: _state(status) for path, status in _entries(str(folder))}
    content = {"version": _VERSION, "inode": folder.stat().st_ino, "files": files}
    return json.dumps(content, separators=(",", ":")).encode()


def broken_seal(prefix: Path) -> str | None:
    """Fault of a prefix, in a few words; None if it is as it was made, empty if it is not there."""
    if not os.path.lexists(prefix):
        return ""
    if not prefix.is_dir():
        return "it is not a directory"
    try:
        content = json.loads(seal_path(prefix).read_bytes())
        is_its_own = content["version"] == _VERSION and content["inode"] == prefix.stat().st_ino
        expected = {path: tuple(state) for path, state in content["files"].items()}
        found = {path: _state(status) for path, status in _entries(str(prefix))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        is_its_own, expected, found = False, {}, {}
    if not is_its_own:
        return "it is not known how it was made"
    return next(_faults(expected, found), None)


def restore_modes(prefix: Path) -> None:
    """Give the files of a prefix the rights that they were made with, if they are still the same files.

    Extracted packages and other prefixes share the files, and so a lost right to execute. Errors are ignored.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        files = json.loads(seal_path(prefix).read_bytes())["files"]
        for path, status in _entries(str(prefix)):
            mode, *_, inode = files.get(path, (status.st_mode, 0))
            if status.st_mode != mode and status.st_ino == inode and stat.S_ISREG(status.st_mode):
                (prefix / path).chmod(stat.S_IMODE(mode))


def differences(
    prefix: Path, reference: Path, advance: Callable[[int], None] = lambda _more: None
) -> list[str]:
    """Files of a prefix that differ from those of a sound one: ``bin/x was changed`` and the like, sorted.

    Compares bytes, the targets of links and the right to execute. What ``broken_seal`` leaves out, and the
    installer's records, are not compared.

    Args:
        prefix: the prefix.
        reference: the sound one.
        advance: called with the number of further files that are compared.

    Raises:
        OSError: one of them cannot be read.
    """
    expected, found = dict(_entries(str(reference))), dict(_entries(str(prefix)))
    compared = {path for path in expected if not path.startswith(_RECORDS)}
    is_same = {}
    for path in expected:
        if path in found:
            is_same[path] = path not in compared or _same(prefix / path, reference / path)
            advance(1)
    return sorted(_faults(dict.fromkeys(expected, True), {**dict.fromkeys(found, True), **is_same}))


def replace_bytecode(prefix: Path, reference: Path) -> None:
    """Remove all bytecode of a prefix, because nothing vouches for it, and move that of a sound prefix there.

    What the sound one has came with packages. Python makes the rest again.
    """
    for folder, folders, _ in os.walk(prefix):
        if _BYTECODE in folders:
            folders.remove(_BYTECODE)
            shutil.rmtree(Path(folder) / _BYTECODE, ignore_errors=True)
    for folder, folders, _ in os.walk(reference):
        if _BYTECODE in folders:
            folders.remove(_BYTECODE)
            # A step may have made one since, or the folder may be gone: it works without.
            with contextlib.suppress(OSError):
                (Path(folder) / _BYTECODE).rename(prefix / Path(folder).relative_to(reference) / _BYTECODE)


def _faults(expected: Mapping[str, object], found: Mapping[str, object]) -> Iterator[str]:
    for path, state in expected.items():
        if path not in found:
            yield f"{path} is missing"
        elif found[path] != state:
            yield f"{path} was changed"
    for path in found.keys() - expected.keys():
        if path.startswith(_SEARCHED):
            yield f"{path} was added"


def _same(one: Path, other: Path) -> bool:
    first, second = one.lstat(), other.lstat()
    if stat.S_IFMT(first.st_mode) != stat.S_IFMT(second.st_mode):
        return False
    if stat.S_ISLNK(first.st_mode):
        return one.readlink() == other.readlink()
    if (first.st_mode ^ second.st_mode) & 0o111:
        return False
    return filecmp.cmp(one, other, shallow=False)


def _state(status: os.stat_result) -> _State:
    return status.st_mode, status.st_size, status.st_mtime_ns, status.st_ino


def _entries(
    folder: str, below: str = "", *, with_bytecode: bool = False
) -> Iterator[tuple[str, os.stat_result]]:
    """Relative path and status of everything below a folder that is no directory; links are not followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            path = below + entry.name
            if not entry.is_dir(follow_symlinks=False):
                yield path, entry.stat(follow_symlinks=False)
            elif with_bytecode or entry.name != _BYTECODE:
                yield from _entries(entry.path, path + "/", with_bytecode=with_bytecode)
