"""The catalogue inside a step process: asks the runner, which has the datastore."""

from airflow_conda_flow import errors
from airflow_conda_flow.runtime import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.runtime.protocol import MessageStream


class RunnerCatalogue:
    """Answers questions about runs, through the runner of this step.

    Args:
        stream: the way to the runner.
    """

    def __init__(self, stream: "MessageStream") -> None:
        self._stream = stream

    def call(self, name: str, arguments: "list[Any]") -> "Any":
        """The result of the catalogue's method of that name.

        Raises:
            CondaFlowError: what the method raised.
        """
        answer = self._stream.request(protocol.ask(name, arguments))
        if answer["type"] == "error":
            error_type = getattr(errors, answer.get("error", ""), errors.ClientError)
            raise error_type(answer["message"])
        return answer["value"]
