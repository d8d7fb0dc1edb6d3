"""Explains a failure whose cause is a file beside the flow with the name of a library, such as ``random.py``.

Python puts the folder of the program before all others. Standard library only, Python 3.6 and later.
"""

import os
import sys
from importlib.machinery import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def hiding_line(error: "ImportError | AttributeError") -> "str | None":
    """A line about the file that hides the module which the error is about; None if no file does."""
    module = _module_of(error)
    file = getattr(module, "__file__", None)
    if module is None or not file or not sys.path:
        return None
    folder = os.path.abspath(sys.path[0])
    is_beside = os.path.abspath(file) in (
        os.path.join(folder, module.__name__ + ".py"),
        os.path.join(folder, module.__name__, "__init__.py"),
    )
    others = [each for each in sys.path[1:] if os.path.abspath(each or ".") != folder]
    hidden = PathFinder.find_spec(module.__name__, others) if is_beside else None
    if hidden is None:
        return None
    return "%s hides the module %s of %s, which is needed to run flows. Rename it." % (
        file,
        module.__name__,
        hidden.origin or "another folder",
    )


def _module_of(error: "ImportError | AttributeError") -> "ModuleType | None":
    if isinstance(error, ImportError):
        return sys.modules.get((error.name or "").partition(".")[0])
    found = getattr(error, "obj", None)  # since Python 3.10, which the command line needs
    return found if isinstance(found, type(sys)) else None
