"""``inputs`` of a join: the finished tasks before it, with their artifacts."""

from airflow_conda_flow.errors import MissingArtifact
from airflow_conda_flow.flow.flowspec import FlowSpec
from airflow_conda_flow.flow.generic import Generic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from typing_extensions import TypeVar

    from airflow_conda_flow.records.shapes import ArtifactRef, InputDescription
    from airflow_conda_flow.runtime.store import ArtifactClient
    from airflow_conda_flow.runtime.task import StepTask

    Flow = TypeVar("Flow", default=Any)
else:
    Flow = None


class Input:
    """One finished task. Its artifacts are attributes, read on first access.

    It also has the members that ``self`` had in that task: ``index``, ``input``, ``foreach_stack()``, and the
    methods, properties and constants of the flow, which then use this task's artifacts. Internal attributes
    have mangled names, so that an artifact may have any name.

    Args:
        description: step, id and artifacts of the task, and the ``frames`` of the foreach that the join ends.
        client: reads artifacts.
        task: the join.
    """

    def __init__(self, description: "InputDescription", client: "ArtifactClient", task: "StepTask") -> None:
        self.__dict__["_Input__description"] = description
        self.__dict__["_Input__client"] = client
        self.__dict__["_Input__task"] = task

    def __getattr__(self, name: str) -> "Any":
        if name.startswith("__"):
            raise AttributeError("An input of a join has no attribute %r." % name)
        ref = self.__description["artifacts"].get(name)
        if ref is None:
            return self.__beside_artifacts(name)
        value = self.__dict__[name] = self.__client.load(ref, "%s of task %s" % (name, task_of(self)))
        return value

    def __beside_artifacts(self, name: str) -> "Any":
        task, frames = self.__task, self.__description["frames"]
        if name == "index":
            return frames[-1]["index"] if frames else task.index
        if name == "input":
            return task.value_of(frames[-1]) if frames else task.input
        if name == "foreach_stack":
            ended = [(each["index"], each["num_splits"], task.value_of(each)) for each in frames]
            return lambda: task.foreach_stack() + ended
        if name == "_current_step":
            return step_of(self)
        for each in type(task.flow).__mro__:
            if each is not FlowSpec and name in vars(each):
                held = vars(each)[name]
                return held.__get__(self, type(task.flow)) if hasattr(held, "__get__") else held
        names = ", ".join(sorted(self.__description["artifacts"])) or "none"
        raise MissingArtifact("Task %s has no artifact %r. It has: %s." % (task_of(self), name, names))

    def __setattr__(self, name: str, value: "Any") -> None:
        raise AttributeError("An input of a join is read-only; assign to self.%s instead." % name)

    def __dir__(self) -> "list[str]":
        return sorted(self.__description["artifacts"])

    def __repr__(self) -> str:
        return "<Input %s>" % task_of(self)


def refs_of(given: "Input") -> "dict[str, ArtifactRef]":
    """References of an input's artifacts, by name."""
    return given.__dict__["_Input__description"]["artifacts"]  # type: ignore[no-any-return]


def step_of(given: "Input") -> str:
    """Name of the step of an input's task."""
    return given.__dict__["_Input__description"]["step"]  # type: ignore[no-any-return]


def task_of(given: "Input") -> str:
    """Task id of an input, such as ``train-3``."""
    return given.__dict__["_Input__description"]["task_id"]  # type: ignore[no-any-return]


class Inputs(Generic[Flow]):
    """All inputs of a join: iterable, indexed by number, and after a split also by step name.

    For type checkers, ``def join(self, inputs: "Inputs[MyFlow]")`` gives each input the flow's attributes.
    """

    def __init__(self, inputs: "list[Input]") -> None:
        self._inputs: "list[Any]" = inputs
        self._by_step = {step_of(each): each for each in inputs}

    def __iter__(self) -> "Iterator[Flow]":
        return iter(self._inputs)

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, number: int) -> "Flow":
        return self._inputs[number]  # type: ignore[no-any-return]

    def __getattr__(self, step: str) -> "Flow":
        by_step: "dict[str, Flow]" = self.__dict__.get("_by_step", {})
        if step in by_step:
            return by_step[step]
        raise AttributeError("inputs has no step %r. It has: %s." % (step, ", ".join(sorted(by_step))))
