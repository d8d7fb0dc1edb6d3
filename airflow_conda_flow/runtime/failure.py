"""A step's exception as plain data, with only the user's own frames."""

import os

from airflow_conda_flow.errors import CondaFlowError, TaskFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.records.shapes import ExceptionRecord

_ERRORS = CondaFlowError.__module__ + "."  # prefix of our errors' names in a traceback
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def describe(error: BaseException) -> "ExceptionRecord":
    """Type, full type name, message and traceback of an exception, as text.

    ``SystemExit`` counts as a failure: a step ends normally by returning.
    """
    import traceback  # noqa: PLC0415 - needed after a failure only

    if isinstance(error, SystemExit):
        error = _exit_as_error(error)
    summary = traceback.TracebackException(type(error), error, error.__traceback__)
    _strip(summary, set())
    if isinstance(error, CondaFlowError) and summary.__cause__ and not summary.__cause__.stack:
        summary.__cause__ = None  # the message already contains it
    return {
        "type": type(error).__name__,
        "full_type": "%s.%s" % (type(error).__module__, type(error).__qualname__),
        "message": _text(error),
        "traceback": _tidy("".join(summary.format())),
    }


def _exit_as_error(error: "SystemExit") -> "BaseException":
    replacement = TaskFailed(
        "The step called sys.exit(%s). A step ends by returning, and fails by raising an exception."
        % ("" if error.code is None else repr(error.code))
    )
    replacement.__suppress_context__ = True
    return replacement.with_traceback(error.__traceback__)


def _text(error: "BaseException") -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not hide that the step failed
        return "<the exception's __str__ failed>"


def _strip(summary: "Any", seen: "set[int]") -> None:
    """Remove frames of this package and of Python's import system, also from causes and exception groups."""
    if summary is None or id(summary) in seen:
        return
    seen.add(id(summary))
    kept = [frame for frame in summary.stack if _is_users(frame.filename)]
    del summary.stack[:]
    summary.stack.extend(kept)
    _strip(summary.__cause__, seen)
    _strip(summary.__context__, seen)
    for part in getattr(summary, "exceptions", None) or ():
        _strip(part, seen)


def _is_users(filename: str) -> bool:
    return not (os.path.abspath(filename).startswith(_OURS) or filename.startswith("<frozen importlib"))


def _tidy(text: str) -> str:
    """Remove ``Traceback (most recent call last):`` if no frame follows, and our errors' module name."""
    lines = text.splitlines(True)
    kept = []
    for number, line in enumerate(lines):
        below = lines[number + 1 :][:1]
        if line == "Traceback (most recent call last):\n" and below and not below[0].startswith("  "):
            continue
        if line.startswith(_ERRORS):
            kept.append(line[len(_ERRORS) :])
        else:
            kept.append(line)
    return "".join(kept)
