"""Placeholders for ``Runner``, ``Deployer`` and the like in step environments; they start no runs."""

from airflow_conda_flow.errors import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


def stand_in(name: str) -> "type":
    """Class that can be imported, but raises ``LaunchError`` with advice when it is used.

    Args:
        name: name of the class.
    """

    def refuse(*_positional: "Any", **_keywords: "Any") -> "NoReturn":
        raise LaunchError(
            "%s is not in a step's own environment. Give the step @conda(disabled=True), or start runs in a "
            "program of your own." % name
        )

    members = {"__new__": refuse, "__doc__": "Not in a step's own environment."}  # type: dict[str, Any]
    members.update((each, staticmethod(refuse)) for each in ("from_deployment", "get_triggered_run"))
    return type(name, (object,), members)
