"""The directory that makes ``airflow_conda_flow`` importable inside a step environment.

It holds the facade, the errors, ``records/``, ``flow/``, ``runtime/``, ``client/``, ``datatools/``,
``metaflow/`` and a few modules beside them, and nothing else of the package. A step cannot import the rest,
which needs libraries that its environment does not have.
"""

from __future__ import annotations

import hashlib
import shutil
from functools import cache
from pathlib import Path

from airflow_conda_flow.datastore.left_behind import clear_once, new_mark

_PACKAGE = Path(__file__).parent.parent
# Everything named here must import on Python 3.6 with the standard library alone.
_ROOMS = ("records", "flow", "runtime", "client", "datatools", "metaflow")
_FILES = (
    "__init__.py",
    "_version.py",
    "bindings.py",
    "cards.py",
    "errors.py",
    "exception.py",
)


def runtime_root(cache_dir: Path) -> Path:
    """Directory to put on a step's ``sys.path``; made once per state of the sources.

    Safe to call from several processes at once.
    """
    # Named after the sources' digest and not after the version: an edited checkout gets a new copy, and a
    # running step keeps the one that it started with. 32 hex digits are enough to be unique.
    target = cache_dir / "runtime" / _digest()[:32]
    if not target.is_dir():
        _make(target)
    return target


@cache
def _digest() -> str:
    digest = hashlib.sha256()
    for name, data in _sources().items():
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


@cache
def _sources() -> dict[str, bytes]:
    paths = [_PACKAGE / name for name in _FILES]
    for room in _ROOMS:
        paths.extend(sorted((_PACKAGE / room).rglob("*.py")))
    return {str(path.relative_to(_PACKAGE.parent)): path.read_bytes() for path in paths}


def _make(target: Path) -> None:
    # The directory appears by a rename, so that another process never sees it half filled.
    clear_once(target.parent)
    temporary = target.with_name(f".{target.name}.{new_mark()}")
    try:
        for name, data in _sources().items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        temporary.rename(target)
    except OSError:
        if not target.is_dir():  # if it is there, another process made the same directory first
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
