"""Keeps bytecode of the user's sources out of the user's folder: nothing appears beside a flow file.

It would also be wrong at times: to Python, a file that changed within a second, but not in size, is the same.
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
    """Loads a module from its source, or from bytecode that is there, and writes none."""

    def set_data(self, path: str, data: "Any", *, _mode: "Any" = 0o666) -> None:
        """Write nothing."""


def leave_untouched(folder: str) -> None:
    """From now on, imports of this process write no bytecode in the folder; installed libraries may."""
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
