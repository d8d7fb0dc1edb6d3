"""Errors for names that a flow file imports and this package does not have; they state what to write."""

import sys

from airflow_conda_flow.errors import UnknownName
from airflow_conda_flow.flow.decorators.base import OUR_PACKAGE, nearest
from airflow_conda_flow.flow.plain_errors import show_plainly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType


def unknown_name(message: str) -> UnknownName:
    """Error at the line of the user's import; it is shown without a traceback if it ends the program."""
    show_plainly()
    frame: "FrameType | None" = sys._getframe(1)  # noqa: SLF001 - the documented way without importing inspect
    while frame is not None and _is_machinery(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    if frame is None:
        return UnknownName(message)
    return UnknownName(message, frame.f_code.co_filename, frame.f_lineno)


def misspelt(module: str, name: str, known: "Iterable[str]") -> str:
    """Message that suggests the nearest name of a module; the empty string if no name is near.

    >>> misspelt("airflow_conda_flow", "conda_bas", ["conda", "conda_base"])
    "airflow_conda_flow has no 'conda_bas'. Did you mean 'conda_base'?"
    """
    near = nearest(name, known)
    return "%s has no %r.%s" % (module, name, near) if near else ""


def missing_attribute(module: str, name: str, known: "Iterable[str]") -> Exception:
    """Error for a module's ``__getattr__``: ``UnknownName`` for imports, otherwise ``AttributeError``."""
    message = misspelt(module, name, known)
    # A submodule that is being imported is found in sys.modules after this error.
    is_module = "%s.%s" % (module, name) in sys.modules
    if not is_module and _is_import(sys._getframe(2)):  # noqa: SLF001 - the code that uses the name
        return unknown_name(message or "%s has no %r. docs/metaflow.md lists its names." % (module, name))
    return AttributeError(message or "module %r has no attribute %r" % (module, name))


def _is_import(frame: "FrameType") -> bool:
    """True if the frame runs ``from module import name``, which drops the message of an AttributeError."""
    import dis  # noqa: PLC0415 - only for an unknown name

    code = frame.f_code.co_code
    return frame.f_lasti >= 0 and code[frame.f_lasti] == dis.opmap["IMPORT_FROM"]


def _is_machinery(module: str) -> bool:
    return (module + ".").startswith((OUR_PACKAGE, "importlib."))
