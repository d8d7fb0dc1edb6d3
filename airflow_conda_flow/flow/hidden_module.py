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
    if program is None or os.path.dirname(os.path.abspath(program)) != os.path.abspath(sys.path[0]):
        raise ImportError(line) from error
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
    os._exit(1)  # without threading or another module of its own, Python would end with errors too


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
    # The error of a method call holds no object, and that of Python 3.9 and earlier never does.
    words = str(error).split("'")
    return sys.modules.get(words[1]) if words[0] in {"module ", "partially initialized module "} else None
