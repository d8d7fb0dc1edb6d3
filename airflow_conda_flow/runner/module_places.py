"""Places of modules on this machine, as the import system knows them."""

from __future__ import annotations

import importlib.util
import os
import zipfile
from pathlib import Path
from typing import Any


def module_places(name: str) -> list[Path]:
    """Directories of a package, or the file of a module; empty if there is none, or it has no place.

    A path below a zip archive is that of a module in the archive.

    Args:
        name: of a top-level module.
    """
    try:
        spec: Any = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # ValueError: a module without a spec, which a program has made
        return []
    if spec is None:
        return []
    file = Path(spec.origin) if spec.has_location and spec.origin else None
    if spec.submodule_search_locations is None:
        return [] if file is None else [file]
    # A directory may be on the path twice: as the flow file's own, and in PYTHONPATH.
    found = {os.path.realpath(each): Path(each) for each in spec.submodule_search_locations}
    # Editable installs of setuptools and meson-python add markers for their finders, which are no paths.
    places = [each for each in found.values() if each.is_dir() or archive_of(each) is not None]
    return places if places or file is None else [file.parent]


def archive_of(path: Path) -> Path | None:
    """The zip archive that a path leads into; None if it leads into none."""
    file = next((each for each in (path, *path.parents) if each.is_file()), None)
    return file if file is not None and zipfile.is_zipfile(file) else None


def has_module(package: Path, name: str) -> bool:
    """Whether a directory, which may be in a zip archive, has a module or package of this name."""
    archive = archive_of(package)
    folder: Any = package  # Path and zipfile.Path share these methods and no class
    if archive is not None:
        folder = zipfile.Path(archive, f"{package.relative_to(archive).as_posix()}/")
    return bool((folder / name).is_dir() or (folder / f"{name}.py").is_file())
