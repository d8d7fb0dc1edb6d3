"""Names of the packages that may provide a module: they often differ from the module's."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import importlib.metadata

_SHORT = 4  # characters: a shorter name is part of too many others
_PTH = re.compile(r"^([^,/\n]+\.pth),", re.MULTILINE)

# Well-known modules whose packages, on PyPI or in conda channels, do not have the module's name as a part.
_OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "Bio": ("biopython",),
    "Crypto": ("pycrypto",),
    "MySQLdb": ("mysql",),
    "PIL": ("pillow",),
    "bs4": ("beautifulsoup4",),
    "cv2": ("opencv",),
    "dns": ("dnspython",),
    "fitz": ("pymupdf",),
    "gi": ("pygobject",),
    "git": ("gitpython",),
    "google": ("protobuf",),
    "jwt": ("pyjwt",),
    "mpl_toolkits": ("matplotlib",),
    "osgeo": ("gdal",),
    "pkg_resources": ("setuptools",),
    "pylab": ("matplotlib",),
    "pyximport": ("cython",),
    "rest_framework": ("djangorestframework",),
    "shapefile": ("pyshp",),
    "skimage": ("scikit-image",),
    "sklearn": ("scikit-learn",),
    "tables": ("pytables",),
    "usb": ("pyusb",),
    "win32api": ("pywin32",),
    "wx": ("wxpython",),
    "yaml": ("pyyaml",),
    "zmq": ("pyzmq",),
}


class ModuleProviders:
    """Names of packages by module. What is installed here is read once, and only if a module asks for it."""

    def may_be_in(self, packages: Collection[str], module: str, path: Path) -> bool:
        """True if one of the packages may provide a module.

        Args:
            packages: names of the packages.
            module: name of the module, without dots.
            path: its file or directory here.
        """
        known = [_plain(each) for each in packages]
        names = {module, *_OTHER_NAMES.get(module, ()), *self._by_module.get(module, ())}
        names.update(name for name, folder, is_whole in self._editable if _leads_to(folder, path, is_whole))
        return any(
            name == each or (len(name) >= _SHORT and name in each)
            for name in map(_plain, names)
            for each in known
        )

    @cached_property
    def _by_module(self) -> Mapping[str, list[str]]:
        import importlib.metadata  # noqa: PLC0415 - heavy, and most runs ask for nothing

        return importlib.metadata.packages_distributions()

    @cached_property
    def _editable(self) -> list[tuple[str, Path, bool]]:
        """Names and directories of editable installs; those of most build backends do not list modules.

        A directory is a project, with the module somewhere below it, or one that a ``.pth`` file adds to
        ``sys.path``.
        """
        import importlib.metadata  # noqa: PLC0415 - as above

        found = []
        for each in importlib.metadata.distributions():
            folders = [
                *((folder, True) for folder in _projects(each)),
                *((one, False) for one in _added(each)),
            ]
            if folders and (name := each.metadata["Name"]):
                found += [(name, folder.resolve(), is_whole) for folder, is_whole in folders]
        return found


def _projects(distribution: importlib.metadata.Distribution) -> Iterator[Path]:
    """Directory of the project that pip, uv, Poetry and others note for an editable install (PEP 610)."""
    with contextlib.suppress(ValueError, TypeError, AttributeError, KeyError):  # not our file
        document = json.loads(distribution.read_text("direct_url.json") or "{}")
        if document.get("dir_info", {}).get("editable"):
            yield Path(unquote(urlsplit(document["url"]).path))


def _added(distribution: importlib.metadata.Distribution) -> Iterator[Path]:
    """Directories that the distribution's ``.pth`` files add to ``sys.path``."""
    for name in _PTH.findall(distribution.read_text("RECORD") or ""):
        with contextlib.suppress(OSError, ValueError):
            lines = Path(str(distribution.locate_file(name))).read_text(encoding="utf-8").splitlines()
            yield from (Path(line) for line in lines if line and not line.startswith(("#", "import")))


def _leads_to(folder: Path, path: Path, is_whole: bool) -> bool:
    return path.resolve().is_relative_to(folder) if is_whole else path.parent.resolve() == folder


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "", name.rpartition("::")[2].partition("[")[0]).lower()
