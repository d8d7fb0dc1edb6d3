"""Names of tasks and attempts: keys in the datastore, pathspecs and labels are made from them."""


def task_id(indices: "tuple[int, ...]") -> str:
    """Task id of an index path.

    >>> task_id(()), task_id((3,)), task_id((3, 1))
    ('0', '3', '3-1')
    """
    return "-".join(str(index) for index in indices) or "0"


def indices(task: str, depth: int) -> "tuple[int, ...]":
    """Index path of a task id: the inverse of ``task_id``.

    Args:
        task: a task id.
        depth: number of foreach steps around the step. It is needed because ``0`` is the id of both the
            empty path and ``(0,)``.

    Raises:
        ValueError: ``task_id`` gives no such text for a path of that length; ``03`` is not ``3``.

    >>> indices("0", 0), indices("0", 1), indices("3-1", 2)
    ((), (0,), (3, 1))
    """
    path = tuple(int(part) for part in task.split("-")) if depth else ()
    if len(path) != depth or task_id(path) != task:
        example = task_id((0,) * depth)
        raise ValueError("Task id %r is not one of %d indices, such as %r." % (task, depth, example))
    return path


class TaskName:
    """Name of one task: a step of a run, at an index path.

    Attributes:
        flow: the flow's name.
        run_id: the run's id.
        step: the step's name.
        task_id: the task's id: the index path as text.
    """

    __slots__ = ("flow", "run_id", "step", "task_id")

    def __init__(self, flow: str, run_id: str, step: str, task_id: str) -> None:
        self.flow = flow
        self.run_id = run_id
        self.step = step
        self.task_id = task_id

    @classmethod
    def at(cls, flow: str, run_id: str, step: str, indices: "tuple[int, ...]") -> "TaskName":
        """Name of the task at an index path.

        >>> TaskName.at("AFlow", "1", "train", (3, 1)).pathspec
        'AFlow/1/train/3-1'
        """
        return cls(flow, run_id, step, task_id(indices))

    @property
    def pathspec(self) -> str:
        """The name as users and the client write it: ``flow/run id/step/task id``."""
        return "/".join(self.parts)

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
