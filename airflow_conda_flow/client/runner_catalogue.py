"""Catalogue for step processes: it asks the runner, which has access to the datastore."""

from airflow_conda_flow import errors
from airflow_conda_flow.runtime import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from airflow_conda_flow.runtime.protocol import MessageStream


class RunnerCatalogue:
    """Catalogue that passes questions about runs to the runner of this step.

    Args:
        stream: connection to the runner.
    """

    def __init__(self, stream: "MessageStream") -> None:
        self._stream = stream

    def call(self, name: str, arguments: "list[Any]") -> "Any":
        """Result of a method of the runner's catalogue.

        Raises:
            CondaFlowError: the method raised it.
        """
        answer = self._stream.request(protocol.ask(name, arguments))
        if answer["type"] == "error":
            error_type = getattr(errors, answer.get("error", ""), errors.ClientError)
            raise error_type(answer["message"])
        return answer["value"]
