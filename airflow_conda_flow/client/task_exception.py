"""``TaskException``: the stored failure of a task."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import ExceptionRecord


class TaskException:
    """Exception that ended a task. ``str()`` gives its traceback, reduced to the flow's own frames.

    Attributes:
        type: name of the exception class, such as ``ValueError``.
        exception: message of the exception.
        stacktrace: traceback as text.
    """

    def __init__(self, described: "ExceptionRecord") -> None:
        self.type: str = described["type"]
        self.exception: str = described["message"]
        self.stacktrace: str = described["traceback"]

    @property
    def message(self) -> str:
        """Message of the exception."""
        return str(self.exception)

    @property
    def traceback(self) -> str:
        """Traceback as text."""
        return str(self.stacktrace)

    def __str__(self) -> str:
        return self.traceback

    def __repr__(self) -> str:
        return "<%s: %s>" % (self.type, self.exception)
