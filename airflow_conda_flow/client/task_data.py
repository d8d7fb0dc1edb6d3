"""``TaskData``: the artifacts of a task as attributes."""

from airflow_conda_flow.errors import MissingArtifact
from airflow_conda_flow.flow.decorators.base import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class TaskData:
    """Artifacts of a task as attributes; each value is read on first access, then kept.

    Args:
        task: the ``Task``.
    """

    def __init__(self, task: "Any") -> None:
        self.__dict__["_TaskData__task"] = task

    def __getattr__(self, name: str) -> "Any":
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self.__task._record().artifacts:
            names = self.__task._public_names()
            raise MissingArtifact(
                "%r has no artifact %r.%s It has: %s."
                % (self.__task, name, nearest(name, names), ", ".join(names) or "none")
            )
        value = self.__dict__[name] = self.__task._artifact(name).data
        return value

    def __contains__(self, name: object) -> bool:
        return name in self.__task._record().artifacts

    def __dir__(self) -> "list[str]":
        return sorted(set(super().__dir__()) | set(self.__task._public_names()))

    def __repr__(self) -> str:
        return "<TaskData: %s>" % ", ".join(self.__task._public_names())

    def __reduce__(self) -> "Any":
        return TaskData, (self.__task,)
