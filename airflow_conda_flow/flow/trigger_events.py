"""``current.trigger``: events that started a run.

The run manifest contains them as plain data, the newest first. ``Trigger`` makes them available as objects.
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
        """Event that started a run."""

        name: str
        id: str
        timestamp: datetime | None
        type: str

else:
    TriggerEvent = namedtuple(  # noqa: PYI024 - importing typing would slow down every step process
        "TriggerEvent", ["name", "id", "timestamp", "type"]
    )
"""Event that started a run: its name, an id unique among events of that name, its time, and its type.

The type is ``event`` or ``run``. The id of a ``run`` is the pathspec of the last task of the other flow.
"""


FINISHED = "conda_flow."
"""Prefix of the event that is emitted when a flow finishes."""


def finished_name(flow: str, prefix: str) -> str:
    """Name of the event, and of the Airflow asset, that tells that a flow has finished.

    Args:
        flow: name of the flow.
        prefix: its project and branch, such as ``p.prod``, or the empty string.

    >>> finished_name("FirstFlow", "p.prod")
    'conda_flow.p.prod.FirstFlow.end'
    """
    return "%s%s.end" % (FINISHED, "%s.%s" % (prefix, flow) if prefix else flow)


class Trigger:
    """Events and finished runs of other flows that started the run; several if all of them were required.

    Args:
        events: the events, the newest first.
    """

    def __init__(self, events: "list[TriggerEvent]") -> None:
        self._events = events

    @property
    def event(self) -> "TriggerEvent | None":
        """Newest event; None if there is none."""
        return self._events[0] if self._events else None

    @property
    def events(self) -> "list[TriggerEvent] | None":
        """All events, the newest first; None if there is none."""
        return list(self._events) or None

    @property
    def run(self) -> "Run | None":
        """Run of another flow that started this one, the last one to finish; None if no run did."""
        runs = self.runs
        return runs[0] if runs else None

    @property
    def runs(self) -> "list[Run] | None":
        """Runs of other flows that started this one, the newest first; None if no run did."""
        found = [each for each in self._events if each.type == "run"]
        if not found:
            return None
        past_run = bound("past_run")
        return [past_run(each.id) for each in found]

    def __getitem__(self, name: str) -> "Run | TriggerEvent":
        """Run of the flow of that name, otherwise event of that name; ``KeyError`` if there is neither."""
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
