"""``current``: what a step may know of the run that it is part of."""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAMES = (
    "flow_name",
    "run_id",
    "step_name",
    "task_id",
    "retry_count",
    "origin_run_id",
    "pathspec",
    "namespace",
    "username",
    "tags",
    "parameter_names",
    "tempdir",
    "is_running_flow",
    "parallel",
    "is_parallel",
)

Parallel = namedtuple(  # noqa: PYI024 - every step process would pay for importing typing
    "Parallel", ["main_ip", "num_nodes", "node_index", "control_task_id"]
)
"""The nodes of a ``num_parallel``, and which of them this task is; node 0 is the main one."""


class Current(object):
    """The run around the code that reads it; empty outside a step.

    >>> "run_id" in Current()
    False
    >>> Current().get("run_id", "none")
    'none'
    """

    def __init__(self):
        # type: () -> None
        self._values = {"is_running_flow": False}  # type: dict[str, Any]

    def _set(self, **values):
        # type: (**Any) -> None
        self._values = dict(values, is_running_flow=True)
        if "parallel" in values:
            self._values["parallel"] = Parallel(**values["parallel"])

    def get(self, name, default=None):
        # type: (str, Any) -> Any
        """The value of a name, or ``default`` where there is none."""
        return self._values.get(name, default)

    def __contains__(self, name):
        # type: (str) -> bool
        return name in self._values

    def __getattr__(self, name):
        # type: (str) -> Any
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            pass
        if name in NAMES:
            raise AttributeError("current.%s has a value inside a running step alone." % name)
        raise AttributeError("current has no attribute %r. It has: %s." % (name, ", ".join(NAMES)))


current = Current()
