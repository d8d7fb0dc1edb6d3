"""The ``inputs`` of a join: the finished tasks before it, with their artifacts."""

from airflow_conda_flow.errors import MissingArtifact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from airflow_conda_flow.runtime.protocol import Message
    from airflow_conda_flow.runtime.store import ArtifactClient


class Input(object):
    """One finished task; its artifacts are attributes, read on first touch.

    What is not an artifact has a mangled name, so that an artifact may have any name.
    """

    def __init__(self, description, client):
        # type: (Message, ArtifactClient) -> None
        self.__dict__["_Input__description"] = description
        self.__dict__["_Input__client"] = client

    def __getattr__(self, name):
        # type: (str) -> Any
        ref = self.__description["artifacts"].get(name) if not name.startswith("__") else None
        if ref is None:
            names = ", ".join(sorted(self.__description["artifacts"]))
            names = ", ".join(sorted(self.__description["artifacts"])) or "none"
            raise MissingArtifact("Task %s has no artifact %r. It has: %s." % (task_of(self), name, names))
        value = self.__dict__[name] = self.__client.load(ref, "%s of task %s" % (name, task_of(self)))
        return value

    def __setattr__(self, name, value):
        # type: (str, Any) -> None
        raise AttributeError("An input of a join is read-only; assign to self.%s instead." % name)

    def __dir__(self):
        # type: () -> list[str]
        return sorted(self.__description["artifacts"])

    def __repr__(self):
        # type: () -> str
        return "<Input %s>" % task_of(self)


def refs_of(given):
    # type: (Input) -> dict[str, Message]
    """The references of an input's artifacts, by name."""
    return given.__dict__["_Input__description"]["artifacts"]  # type: ignore[no-any-return]


def step_of(given):
    # type: (Input) -> str
    """The step that an input's task is of."""
    return given.__dict__["_Input__description"]["step"]  # type: ignore[no-any-return]


def task_of(given):
    # type: (Input) -> str
    """The step and task id of an input, such as ``train/3``."""
    return "%s/%s" % (step_of(given), given.__dict__["_Input__description"]["task_id"])


class Inputs(object):
    """All inputs of a join: to iterate over, by number, and of a split by the step's name."""

    def __init__(self, inputs):
        # type: (list[Input]) -> None
        self._inputs = inputs
        self._by_step = {step_of(each): each for each in inputs}

    def __iter__(self):
        # type: () -> Iterator[Input]
        return iter(self._inputs)

    def __len__(self):
        # type: () -> int
        return len(self._inputs)

    def __getitem__(self, number):
        # type: (Any) -> Any
        return self._inputs[number]

    def __getattr__(self, step):
        # type: (str) -> Input
        by_step = self.__dict__.get("_by_step", {})  # type: dict[str, Input]
        if step in by_step:
            return by_step[step]
        raise AttributeError("inputs has no step %r. It has: %s." % (step, ", ".join(sorted(by_step))))
