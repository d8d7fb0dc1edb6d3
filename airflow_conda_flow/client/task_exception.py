"""``TaskException``: why a task failed, as it was written down."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import ExceptionRecord


class TaskException:
    """The exception that ended a task; its text is the traceback, of the flow's own frames.

    Attributes:
        type: the name of its class, such as ``ValueError``.
        exception: its message.
        stacktrace: its traceback.
    """

    def __init__(self, described: "ExceptionRecord") -> None:
        self.type: str = described["type"]
        self.exception: str = described["message"]
        self.stacktrace: str = described["traceback"]

    @property
    def message(self) -> str:
        """Its message."""
        return str(self.exception)

    @property
    def traceback(self) -> str:
        """Its traceback."""
        return str(self.stacktrace)

    def __str__(self) -> str:
        return self.traceback

    def __repr__(self) -> str:
        return "<%s: %s>" % (self.type, self.exception)
