"""Where a flow file is: what is named in it is relative to its directory."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def own_path(file: str) -> str:
    """Absolute path of a flow file. For a program that is a link it is that of the file itself.

    Python too imports a program's neighbours from the directory of the file, and not of the link:
    https://docs.python.org/3/library/sys.html#sys.path.
    """
    path = os.path.abspath(file)
    program = sys.modules["__main__"]
    is_run_by_path = getattr(program, "__spec__", None) is None
    if is_run_by_path and path == os.path.abspath(getattr(program, "__file__", None) or ""):
        while os.path.islink(path):
            path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    return path


def folder_of(file: str) -> str:
    """Absolute path of the directory of a flow file, or of a file that its classes come from."""
    return os.path.dirname(own_path(file))


def flow_folder(flow_class: "Any") -> str:
    """Absolute path of the directory of a flow's file; of the working directory if it is in none."""
    file = getattr(sys.modules.get(flow_class.__module__), "__file__", None)
    return folder_of(file) if file else os.getcwd()
