"""Index paths and task ids: which task of a step is meant."""


def task_id(indices):
    # type: (tuple[int, ...]) -> str
    """The task id of an index path.

    >>> task_id(()), task_id((3,)), task_id((3, 1))
    ('0', '3', '3-1')
    """
    return "-".join(str(index) for index in indices) or "0"


def indices(task, depth):
    # type: (str, int) -> tuple[int, ...]
    """The index path of a task id; the inverse of ``task_id``.

    Args:
        task: a task id.
        depth: how many foreach surround the step; outside any, the path is empty.

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
