"""Import hook that writes no bytecode into the user's source folder: no ``__pycache__`` appears there.

Bytecode could also be out of date: Python recognises a change by time in seconds and size only, so it misses
a quick edit that keeps the size.
"""

import os
import sys
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class UncachedLoader(SourceFileLoader):
    """Loader of a module from its source, or from existing bytecode; it never writes bytecode."""

    def set_data(self, path: str, data: "Any", *, _mode: "Any" = 0o666) -> None:
        """Write nothing."""


def leave_untouched(folder: str) -> None:
    """Keep imports of this process from writing bytecode in the folder, except for installed libraries."""
    root = os.path.abspath(folder)

    def find(path: str) -> "FileFinder":
        if not (path == root or path.startswith(root + os.sep)) or _is_installed(path):
            raise ImportError(path)
        return FileFinder(
            path,
            (ExtensionFileLoader, EXTENSION_SUFFIXES),
            (UncachedLoader, SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        )

    sys.path_hooks.insert(0, find)
    for path in [each for each in sys.path_importer_cache if each.startswith(root)]:
        del sys.path_importer_cache[path]


def _is_installed(path: str) -> bool:
    return "site-packages" in path or path.startswith(sys.prefix + os.sep)
