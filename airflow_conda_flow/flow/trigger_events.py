"""``current.trigger``: the events that started a run.

The run manifest holds them as plain data, the newest first, and ``Trigger`` gives them their names.
"""

from collections import namedtuple

from airflow_conda_flow.flow.late_bindings import bound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from typing import NamedTuple

    from airflow_conda_flow.client.past_run import Run

    class TriggerEvent(NamedTuple):
        """Something that started a run."""

        name: str
        id: str
        timestamp: datetime | None
        type: str

else:
    TriggerEvent = namedtuple(  # noqa: PYI024 - every step process would pay for importing typing
        "TriggerEvent", ["name", "id", "timestamp", "type"]
    )
"""What happened: its name, what tells it from others of that name, when, and ``event`` or ``run``.

The id of a ``run`` is the pathspec of the task that the other flow ended with.
"""


FINISHED = "conda_flow."
"""What the names of the events begin with that the ends of flows are."""


def finished_name(flow: str, prefix: str) -> str:
    """The name of the event that a flow has finished; of the Airflow asset too.

    Args:
        flow: the flow's name.
        prefix: its project and branch, or the empty string.

    >>> finished_name("FirstFlow", "p.prod")
    'conda_flow.p.prod.FirstFlow.end'
    """
    return "%s%s.end" % (FINISHED, "%s.%s" % (prefix, flow) if prefix else flow)


class Trigger:
    """What started the run: an event, or another flow that finished; several where all had to happen.

    Args:
        events: the events, the newest first.
    """

    def __init__(self, events: "list[TriggerEvent]") -> None:
        self._events = events

    @property
    def event(self) -> "TriggerEvent | None":
        """The newest event."""
        return self._events[0] if self._events else None

    @property
    def events(self) -> "list[TriggerEvent] | None":
        """All events, the newest first; None if there is none."""
        return list(self._events) or None

    @property
    def run(self) -> "Run | None":
        """The run that finished last of those that started this one; None if none did."""
        runs = self.runs
        return runs[0] if runs else None

    @property
    def runs(self) -> "list[Run] | None":
        """The runs of other flows that started this one, the newest first; None if none did."""
        found = [each for each in self._events if each.type == "run"]
        if not found:
            return None
        past_run = bound("past_run")
        return [past_run(each.id) for each in found]

    def __getitem__(self, name: str) -> "Run | TriggerEvent":
        """The run of the flow of that name, else the event of that name."""
        for run in self.runs or ():
            if run.path_components[0] == name:
                return run
        for event in self._events:
            if event.name == name:
                return event
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(name in (each.name, each.id.split("/")[0]) for each in self._events)

    def __iter__(self) -> "Iterator[TriggerEvent]":
        return iter(self._events)

    def __repr__(self) -> str:
        return "<Trigger: %s>" % ", ".join(each.name for each in self._events)
