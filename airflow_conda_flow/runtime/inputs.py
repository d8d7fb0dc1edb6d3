"""The ``inputs`` of a join: the finished tasks before it, with their artifacts."""

from airflow_conda_flow.errors import MissingArtifact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from airflow_conda_flow.runtime.protocol import Message
    from airflow_conda_flow.runtime.store import ArtifactClient


class Input(object):
    """One finished task; its artifacts are attributes, read on first touch."""

    def __init__(self, description, artifacts):
        # type: (Message, ArtifactClient) -> None
        self.__dict__["_refs"] = description["artifacts"]
        self.__dict__["_step"] = description["step"]
        self.__dict__["_task_id"] = description["task_id"]
        self.__dict__["_client"] = artifacts

    def __getattr__(self, name):
        # type: (str) -> Any
        ref = self._refs.get(name)
        if ref is None or name.startswith("__"):
            raise MissingArtifact(
                "Task %s/%s has no artifact %r. It has: %s."
                % (self._step, self._task_id, name, ", ".join(sorted(self._refs)) or "none")
            )
        value = self.__dict__[name] = self._client.load(ref)
        return value

    def __setattr__(self, name, value):
        # type: (str, Any) -> None
        raise AttributeError("An input of a join is read-only; assign to self.%s instead." % name)

    def __dir__(self):
        # type: () -> list[str]
        return sorted(self._refs)

    def __repr__(self):
        # type: () -> str
        return "<Input %s/%s>" % (self._step, self._task_id)


class Inputs(object):
    """All inputs of a join: to iterate over, by number, and of a split by the step's name."""

    def __init__(self, inputs):
        # type: (list[Input]) -> None
        self._inputs = inputs
        self._by_step = {each._step: each for each in inputs}  # noqa: SLF001 - our own class

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
        try:
            return self.__dict__["_by_step"][step]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(
                "inputs has no step %r. It has: %s."
                % (step, ", ".join(sorted(self.__dict__.get("_by_step", ()))))
            ) from None
