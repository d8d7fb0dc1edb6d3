"""Explains a failure whose cause is a file beside the flow with the name of a library, such as ``random.py``.

Python puts the folder of the program before all others. Standard library only, Python 3.6 and later.
"""

import os
import sys
from _frozen_importlib_external import PathFinder  # not importlib.machinery: importlib may be what is hidden

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def explain(error: "ImportError | AttributeError") -> None:
    """End the program with one line if a file hides the module that the error is about.

    Raises:
        ImportError: with that line, if the program is not beside that file, as in an interactive session.
    """
    line = hiding_line(error)
    if line is None:
        return
    program = getattr(sys.modules["__main__"], "__file__", None)
    if program is None or os.path.dirname(os.path.abspath(program)) != _folder(_module_of(error)):
        raise ImportError(line) from error
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
    os._exit(1)  # without threading or another module of its own, Python would end with errors too


def hiding_line(error: "ImportError | AttributeError") -> "str | None":
    """A line about the file that hides the module which the error is about; None if no file does."""
    module = _module_of(error)
    folder = _folder(module)
    # Not its first entry: the flow file may have put another before it.
    entries = [os.path.abspath(each or ".") for each in sys.path]
    if module is None or folder not in entries or _is_for_libraries(folder):
        return None
    hidden = PathFinder.find_spec(module.__name__, [each for each in entries if each != folder])
    place = hidden and (hidden.origin or next(iter(hidden.submodule_search_locations or ()), None))
    if not place or not _is_for_libraries(place):
        return None
    return "%s hides the module %s of %s, which is needed to run flows. Rename it." % (
        module.__file__,
        module.__name__,
        place,
    )


def _folder(module: "ModuleType | None") -> "str | None":
    """Directory that a top-level module or package is in."""
    file = getattr(module, "__file__", None)
    if not file:
        return None
    folder = os.path.dirname(os.path.abspath(str(file)))
    return os.path.dirname(folder) if hasattr(module, "__path__") else folder


def _is_for_libraries(path: "str") -> bool:
    parts = path.split(os.sep)
    standard = os.path.join(os.path.dirname(os.__file__), "")
    return "site-packages" in parts or "dist-packages" in parts or os.path.join(path, "").startswith(standard)


def _module_of(error: "ImportError | AttributeError") -> "ModuleType | None":
    if isinstance(error, ImportError):
        return sys.modules.get((error.name or "").partition(".")[0])
    # The error of a method call holds no object, and that of Python 3.9 and earlier never does.
    words = str(error).split("'")
    return sys.modules.get(words[1]) if words[0] in {"module ", "partially initialized module "} else None
