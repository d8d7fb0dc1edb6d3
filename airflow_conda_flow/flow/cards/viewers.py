"""Card components for structured data: JSON, YAML and timelines of events."""

import json
import time

from airflow_conda_flow.flow.cards.components import CardComponent, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class JSONViewer(CardComponent):
    """Value as JSON; values that JSON cannot represent are shown as text.

    Args:
        data: the value.
        collapsible: accepted for compatibility and ignored.
        max_height: accepted for compatibility and ignored.
        show_copy_button: accepted for compatibility and ignored.
        title: line above the value.
    """

    REALTIME_UPDATABLE = True

    def __init__(
        self,
        data: "Any",
        collapsible: bool = True,
        max_height: "str | None" = None,
        show_copy_button: bool = True,
        title: "str | None" = None,
    ) -> None:
        del collapsible, max_height, show_copy_button
        self.data = data
        self.title = title

    def update(self, data: "Any") -> None:
        """Replace the value from the next refresh on."""
        self.data = data

    def text(self) -> str:
        """Text that the card shows."""
        return json.dumps(self.data, indent=2, ensure_ascii=False, default=str)

    def to_dict(self) -> "dict[str, Any]":
        """JSON data of the component."""
        return {"kind": "artifact", "name": self.title, "text": self.text()}


class YAMLViewer(JSONViewer):
    """Value or text as YAML; as JSON, which is also valid YAML, if the step has no PyYAML."""

    def text(self) -> str:
        """Text that the card shows."""
        if isinstance(self.data, str):
            return self.data
        try:
            import yaml  # noqa: PLC0415 - a step may lack it
        except ImportError:
            return super().text()
        # Through JSON, because safe_dump refuses objects that JSON shows as text.
        return yaml.safe_dump(json.loads(super().text()), sort_keys=False)


class EventsTimeline(CardComponent):
    """Timeline of events, latest first.

    Args:
        title: line above the timeline.
        max_events: number of events to keep.
    """

    REALTIME_UPDATABLE = True

    def __init__(self, title: "str | None" = None, max_events: int = 100) -> None:
        self.title = title
        self.max_events = max_events
        self.finished = False
        self._rows: "list[list[Any]]" = []

    def update(
        self,
        event_data: "dict[str, Any]",
        style_theme: "str | None" = None,
        priority: "str | None" = None,
        payloads: "dict[str, CardComponent] | None" = None,
        finished: "bool | None" = None,
    ) -> None:
        """Add an event.

        Args:
            event_data: names and values; ``timestamp`` is the time in seconds since 1970, by default now.
            style_theme: kind of the event, such as ``success`` or ``error``.
            priority: importance of the event, such as ``high``.
            payloads: other components of the card, by name.
            finished: True if this is the last event.
        """
        facts = dict(event_data)
        moment = facts.pop("timestamp", None) or time.time()
        when = moment
        if isinstance(moment, (int, float)):
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
        details = [[name, value] for name, value in facts.items()]
        details += [[name, part] for name, part in (payloads or {}).items()]
        notes = ", ".join(each for each in (style_theme, priority) if each)
        self._rows.insert(0, [str(when), notes, Table(details)])
        del self._rows[self.max_events :]
        if finished is not None:
            self.finished = finished

    def to_dict(self) -> "dict[str, Any]":
        """JSON data of the component."""
        title = "%s%s" % (self.title or "Events", " (finished)" if self.finished else "")
        return Table(self._rows, [title, "", ""]).to_dict()
