"""Value of the attribute that ``@catch`` sets: an exception as plain data, readable in every later step."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class CaughtException(Exception):
    """Exception with which a step failed that has ``@catch``.

    Attributes:
        exception: message of the exception.
        type: full name of its class, such as ``builtins.ValueError``.
        stacktrace: its traceback, reduced to the lines of the flow.
    """

    def __init__(self, exception: str = "", type: str = "", stacktrace: str = "") -> None:  # noqa: A002 - the attribute's name in Metaflow
        super().__init__(exception)
        self.exception = exception
        self.type = type
        self.stacktrace = stacktrace

    def __reduce__(self) -> "Any":
        return type(self), (self.exception, self.type, self.stacktrace)

    def __str__(self) -> str:
        return self.stacktrace or "%s: %s" % (self.type, self.exception)

    __repr__ = __str__
