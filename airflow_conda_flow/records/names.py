"""Names of tasks and attempts: keys in the datastore, pathspecs and labels are made from them."""

import re

_WHOLE_NUMBER = re.compile("[0-9]{1,20}")


def whole_number(text: str) -> "int | None":
    """Number that a text is, such as that of an attempt in a key; None for any other text.

    ``str.isdigit`` takes superscripts too, which ``int`` refuses.

    >>> whole_number("012"), whole_number("-1"), whole_number("\u00b2"), whole_number("9" * 21)
    (12, None, None, None)
    """
    return int(text) if _WHOLE_NUMBER.fullmatch(text) else None


def task_id(step: str, indices: "tuple[int, ...]") -> str:
    """Task id of a step at an index path. No other task of a run has the same id.

    >>> task_id("start", ()), task_id("fit", (3,)), task_id("fit", (3, 1))
    ('start-0', 'fit-3', 'fit-3-1')
    """
    return full_id(step, "-".join(str(index) for index in indices) or "0")


def full_id(step: str, text: str) -> str:
    """Task id, also of its last part alone, which stored paths and older pathspecs have.

    >>> full_id("fit", "3-1"), full_id("fit", "fit-3-1")
    ('fit-3-1', 'fit-3-1')
    """
    # Names of steps are identifiers and hold no "-", so a task id of another step never begins like this.
    return text if text.startswith(step + "-") else "%s-%s" % (step, text)


def indices(step: str, task: str, depth: int) -> "tuple[int, ...]":
    """Index path of a task id: the inverse of ``task_id``.

    Args:
        step: the step.
        task: a task id, or its last part alone.
        depth: number of foreach steps around the step. It is needed because the ids of both the empty path
            and ``(0,)`` end with ``0``.

    Raises:
        ValueError: ``task_id`` gives no such text for a path of that length; ``03`` is not ``3``.

    >>> indices("fit", "fit-0", 0), indices("fit", "0", 1), indices("fit", "fit-3-1", 2)
    ((), (0,), (3, 1))
    """
    wanted = full_id(step, task)
    path = tuple(int(part) for part in wanted[len(step) + 1 :].split("-")) if depth else ()
    if len(path) != depth or task_id(step, path) != wanted:
        example = task_id(step, (0,) * depth)
        raise ValueError("Task id %r is not %r and %d indices, such as %r." % (task, step, depth, example))
    return path


class TaskName:
    """Name of one task: a step of a run, at an index path.

    Args:
        flow: the flow's name.
        run_id: the run's id.
        step: the step's name.
        task: the task's id, or its last part alone.

    Attributes:
        flow: the flow's name.
        run_id: the run's id.
        step: the step's name.
        task_id: the task's id: the step and the index path as text.
    """

    __slots__ = ("flow", "run_id", "step", "task_id")

    def __init__(self, flow: str, run_id: str, step: str, task: str) -> None:
        self.flow = flow
        self.run_id = run_id
        self.step = step
        self.task_id = full_id(step, task)

    @classmethod
    def at(cls, flow: str, run_id: str, step: str, indices: "tuple[int, ...]") -> "TaskName":
        """Name of the task at an index path.

        >>> TaskName.at("AFlow", "1", "train", (3, 1)).pathspec
        'AFlow/1/train/train-3-1'
        """
        return cls(flow, run_id, step, task_id(step, indices))

    @property
    def pathspec(self) -> str:
        """The name as users and the client write it: ``flow/run id/step/task id``."""
        return "/".join(self.parts)

    @property
    def path(self) -> str:
        """Index path as text: the task id without the step. The task's folder in the datastore has this name.

        >>> TaskName("AFlow", "1", "train", "train-3-1").path
        '3-1'
        """
        return self.task_id[len(self.step) + 1 :]

    def attempt(self, number: int) -> "AttemptName":
        """Name of an attempt of the task, counted from 0."""
        return AttemptName(self, number)

    def in_run(self, run_id: str) -> "TaskName":
        """Name of the same task in another run of the flow."""
        return TaskName(self.flow, run_id, self.step, self.task_id)

    @property
    def parts(self) -> "tuple[str, str, str, str]":
        """The name as plain data: flow, run id, step and task id."""
        return self.flow, self.run_id, self.step, self.task_id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskName) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    def __repr__(self) -> str:
        return "TaskName(%r, %r, %r, %r)" % self.parts


class AttemptName:
    """Name of one attempt of a task.

    Attributes:
        task: name of the task.
        number: counted from 0; Airflow's ``try_number`` counts from 1.
    """

    __slots__ = ("number", "task")

    def __init__(self, task: TaskName, number: int) -> None:
        self.task = task
        self.number = number

    @property
    def parts(self) -> "tuple[str, str, str, str, int]":
        """The name as plain data: flow, run id, step, task id and number."""
        return self.task.parts + (self.number,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AttemptName) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    def __repr__(self) -> str:
        return "%r.attempt(%d)" % (self.task, self.number)
