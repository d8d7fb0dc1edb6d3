"""A step's exception as plain data, with the user's frames alone."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def describe(error):
    # type: (BaseException) -> dict[str, Any]
    """Type, message and traceback of an exception, as texts.

    A ``SystemExit`` is a failure like any other: a step that means to end returns.
    """
    import traceback  # noqa: PLC0415 - only where something failed

    if isinstance(error, SystemExit):
        error = _exit_as_error(error)
    summary = traceback.TracebackException(type(error), error, error.__traceback__)
    _strip(summary, set())
    return {
        "type": type(error).__name__,
        "message": str(error),
        "traceback": "".join(summary.format()),
    }


def _exit_as_error(error):
    # type: (SystemExit) -> BaseException
    replacement = RuntimeError(
        "The step called sys.exit(%r). A step ends by returning, and fails by raising." % (error.code,)
    )
    return replacement.with_traceback(error.__traceback__)


def _strip(summary, seen):
    # type: (Any, set[int]) -> None
    """Drop the frames of this package and of the import machinery, also of causes."""
    if summary is None or id(summary) in seen:
        return
    seen.add(id(summary))
    kept = [frame for frame in summary.stack if _is_users(frame.filename)]
    del summary.stack[:]
    summary.stack.extend(kept)
    _strip(summary.__cause__, seen)
    _strip(summary.__context__, seen)


def _is_users(filename):
    # type: (str) -> bool
    return not (os.path.abspath(filename).startswith(_OURS) or filename.startswith("<frozen importlib"))
