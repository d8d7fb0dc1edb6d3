"""Says what to write in place of a name that a flow file imports and this package does not have."""

import sys

from airflow_conda_flow.errors import UnknownName
from airflow_conda_flow.flow.decorators.base import OUR_PACKAGE, nearest
from airflow_conda_flow.flow.plain_errors import show_plainly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType


def unknown_name(message: str) -> UnknownName:
    """The error at the line of the user's import, shown without a traceback if it ends the program."""
    show_plainly()
    frame: "FrameType | None" = sys._getframe(1)  # noqa: SLF001 - the documented way without importing inspect
    while frame is not None and _is_machinery(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    if frame is None:
        return UnknownName(message)
    return UnknownName(message, frame.f_code.co_filename, frame.f_lineno)


def misspelt(module: str, name: str, known: "Iterable[str]") -> str:
    """The message about a name that is nearly one of a module's; the empty string if none is near.

    >>> misspelt("airflow_conda_flow", "conda_bas", ["conda", "conda_base"])
    "airflow_conda_flow has no 'conda_bas'. Did you mean 'conda_base'?"
    """
    near = nearest(name, known)
    return "%s has no %r.%s" % (module, name, near) if near else ""


def missing_attribute(module: str, name: str, known: "Iterable[str]") -> Exception:
    """The error of ``__getattr__`` of a module: of an import that names it, or of an attribute."""
    message = misspelt(module, name, known)
    if message and _is_import(sys._getframe(2)):  # noqa: SLF001 - who asks for the name
        return unknown_name(message)
    return AttributeError(message or "module %r has no attribute %r" % (module, name))


def _is_import(frame: "FrameType") -> bool:
    """Whether the frame asks by ``from module import name``, which leaves out an AttributeError's message."""
    import dis  # noqa: PLC0415 - only where a name is wrong

    code = frame.f_code.co_code
    return frame.f_lasti >= 0 and code[frame.f_lasti] == dis.opmap["IMPORT_FROM"]


def _is_machinery(module: str) -> bool:
    return (module + ".").startswith((OUR_PACKAGE, "importlib."))
