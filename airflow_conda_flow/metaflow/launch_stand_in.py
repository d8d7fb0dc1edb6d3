"""Placeholders for ``Runner``, ``Deployer`` and ``NBRunner`` in step environments; they start no runs."""

from airflow_conda_flow.errors import LaunchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


def stand_in(name: str) -> "type":
    """Class that can be imported, but raises ``LaunchError`` with advice when it is called.

    Args:
        name: name of the class.
    """

    def refuse(_cls: "type", *_positional: "Any", **_keywords: "Any") -> "NoReturn":
        raise LaunchError(
            "%s is not in a step's own environment. Give the step @conda(disabled=True), or start runs in a "
            "program of your own." % name
        )

    return type(name, (object,), {"__new__": refuse, "__doc__": "Not in a step's own environment."})
