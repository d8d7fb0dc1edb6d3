"""What ``@catch`` leaves in its attribute: an exception as plain data, readable in every later step."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class CaughtException(Exception):
    """Why a step failed that ``@catch`` stands on.

    Attributes:
        exception: the exception's text.
        type: the full name of its class, such as ``builtins.ValueError``.
        stacktrace: its traceback, the flow's lines alone.
    """

    def __init__(self, exception: str = "", type: str = "", stacktrace: str = "") -> None:  # noqa: A002 - the field's own name
        super().__init__(exception)
        self.exception = exception
        self.type = type
        self.stacktrace = stacktrace

    def __reduce__(self) -> "Any":
        return type(self), (self.exception, self.type, self.stacktrace)

    def __str__(self) -> str:
        return self.stacktrace or "%s: %s" % (self.type, self.exception)

    __repr__ = __str__
