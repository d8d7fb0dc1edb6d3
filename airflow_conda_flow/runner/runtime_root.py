"""The directory that makes ``airflow_conda_flow`` importable inside a step environment.

It holds the facade, the errors, ``flow/`` and ``runtime/``, and nothing else of ours: what is not
there cannot be imported by a step.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent.parent
_ROOMS = ("flow", "runtime")
_FILES = ("__init__.py", "errors.py")


@cache
def runtime_root(cache_dir: Path) -> Path:
    """The directory to put on a step's ``sys.path``; made once per version of the sources."""
    sources = _sources()
    digest = hashlib.sha256()
    for name, data in sources.items():
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    target = cache_dir / "runtime" / digest.hexdigest()[:32]
    if not target.is_dir():
        _make(target, sources)
    return target


def _sources() -> dict[str, bytes]:
    paths = [_PACKAGE / name for name in _FILES]
    for room in _ROOMS:
        paths.extend(sorted((_PACKAGE / room).glob("*.py")))
    return {str(path.relative_to(_PACKAGE.parent)): path.read_bytes() for path in paths}


def _make(target: Path, sources: dict[str, bytes]) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}")
    for name, data in sources.items():
        path = temporary / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    try:
        temporary.rename(target)
    except OSError:
        shutil.rmtree(temporary)
        if not target.is_dir():
            raise
