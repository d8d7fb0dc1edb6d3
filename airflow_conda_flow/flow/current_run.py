"""``current``: information about the run and the task, for code in a step."""

from collections import namedtuple

from airflow_conda_flow.flow.late_bindings import bound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any, NamedTuple

    from airflow_conda_flow.client.past_run import Run
    from airflow_conda_flow.client.past_task import Task
    from airflow_conda_flow.flow.trigger_events import Trigger
    from airflow_conda_flow.runtime.step_cards import StepCards

ALWAYS = (
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
    "tempdir",
    "trigger",
)
"""Names that exist everywhere; outside a step their value is None."""

IN_STEPS = ("parameter_names", "graph", "run", "task")
"""Names that exist in steps only."""

IN_SOME_STEPS = {
    "card": "steps with @card",
    "parallel": "steps of a num_parallel",
    "is_parallel": "steps of a num_parallel",
    "project_name": "flows with @project",
    "project_flow_name": "flows with @project",
    "branch_name": "flows with @project",
    "is_production": "flows with @project",
    "is_user_branch": "flows with @project",
}
"""Names that exist because of a decorator, and the steps or flows that have them."""

IN_AIRFLOW = (
    "dag_id",
    "dag_run_id",
    "dag_run_conf",
    "logical_date",
    "data_interval_start",
    "data_interval_end",
)
"""Names that are None unless Airflow runs the flow."""

NAMES = ("is_running_flow",) + ALWAYS + IN_STEPS + tuple(IN_SOME_STEPS) + IN_AIRFLOW
_DATES = ("logical_date", "data_interval_start", "data_interval_end")

if TYPE_CHECKING:

    class Parallel(NamedTuple):
        """Nodes of a ``num_parallel``."""

        main_ip: str
        num_nodes: int
        node_index: int
        control_task_id: str

else:
    Parallel = namedtuple(  # noqa: PYI024 - importing typing would slow down every step process
        "Parallel", ["main_ip", "num_nodes", "node_index", "control_task_id"]
    )
"""Nodes of a ``num_parallel``, and the index of this task among them; node 0 is the main one."""


class Current:
    """Class of ``current``, which describes the run that the calling code is part of.

    Outside a step, ``is_running_flow`` is False, the names in ``ALWAYS`` and ``IN_AIRFLOW`` are None, and all
    others raise ``AttributeError``.

    Type checkers see the types inside a step, because nearly all code that reads ``current`` is in a step.

    >>> "run_id" in Current()
    False
    >>> Current().get("project_name", "none")
    'none'
    """

    if TYPE_CHECKING:
        is_running_flow: bool
        flow_name: str
        run_id: str
        step_name: str
        task_id: str
        retry_count: int
        origin_run_id: str | None
        pathspec: str
        namespace: str | None
        username: str
        tags: set[str]
        tempdir: str
        trigger: Trigger | None
        parameter_names: list[str]
        graph: dict[str, Any]
        run: Run
        task: Task
        card: StepCards
        parallel: Parallel
        is_parallel: bool
        project_name: str
        project_flow_name: str
        branch_name: str
        is_production: bool
        is_user_branch: bool
        dag_id: str | None
        dag_run_id: str | None
        dag_run_conf: dict[str, Any] | None
        logical_date: datetime | None
        data_interval_start: datetime | None
        data_interval_end: datetime | None

    def __init__(self) -> None:
        self._values: "dict[str, Any]" = {"is_running_flow": False}

    def _set(self, **values: "Any") -> None:
        self._values = dict(values, is_running_flow=True)
        if "tags" in values:
            self._values["tags"] = set(values["tags"])
        if "parallel" in values:
            self._values["parallel"] = Parallel(**values["parallel"])
        if values.get("trigger"):
            self._values["trigger"] = as_trigger(values["trigger"])

    def _update(self, **values: "Any") -> None:
        """Add values, such as those that exist because of a decorator."""
        self._values.update(values)

    def get(self, name: str, default: "Any" = None) -> "Any":
        """Value of a name, or ``default`` if it has none."""
        return getattr(self, name, default)

    def __contains__(self, name: str) -> bool:
        return getattr(self, name, None) is not None

    def __dir__(self) -> "list[str]":
        return sorted(set(NAMES) | {"get"})

    def _value(self, name: str) -> "Any":
        values = self.__dict__["_values"]
        if name in values:
            return _as_date(values[name]) if name in _DATES else values[name]
        if name in ALWAYS or name in IN_AIRFLOW:
            return None
        if name in IN_STEPS and values["is_running_flow"]:
            return self._computed(name)
        if name in IN_STEPS:
            raise AttributeError("current.%s has a value only inside a running step." % name)
        if name in IN_SOME_STEPS:
            raise AttributeError("current.%s has a value only in %s." % (name, IN_SOME_STEPS[name]))
        from airflow_conda_flow.flow.decorators.base import nearest  # noqa: PLC0415 - only for an unknown name

        raise AttributeError(
            "current has no attribute %r.%s It has: %s." % (name, nearest(name, NAMES), ", ".join(NAMES))
        )

    if not TYPE_CHECKING:  # a type checker then rejects names that are not declared above
        __getattr__ = _value

    def _computed(self, name: str) -> "Any":
        """Value that is computed on first use, because few steps need it."""
        if name == "graph":
            from airflow_conda_flow.flow.graph.summary import graph_summary  # noqa: PLC0415 - slow: it parses source files

            self._values[name] = graph_summary(self._values["flow_class"])
        elif name in {"run", "task"}:
            self._values[name] = bound("past_" + name)(self._values["pathspec"])
        return self._values[name]


def as_trigger(events: "list[dict[str, Any]]") -> "Trigger":
    """Events that started the run, as the object that ``current.trigger`` returns."""
    from airflow_conda_flow.flow.trigger_events import Trigger, TriggerEvent  # noqa: PLC0415 - few runs have a trigger

    return Trigger([TriggerEvent(**dict(each, timestamp=_as_date(each["timestamp"]))) for each in events])


def _as_date(text: "str | None") -> "Any":
    """Time, in UTC, from the text in the run manifest; None for None."""
    if text is None:
        return None
    import datetime as dt  # noqa: PLC0415 - few steps read a date

    # Python 3.6 has no fromisoformat, and its %z accepts no colon: the colon in +00:00 is cut out.
    return dt.datetime.strptime(text[:-3] + text[-2:], "%Y-%m-%dT%H:%M:%S.%f%z")


current = Current()
