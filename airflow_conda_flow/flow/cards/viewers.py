"""Parts of a card that show structured data: JSON, YAML, and what happened when."""

import json
import time

from airflow_conda_flow.flow.cards.components import CardComponent, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class JSONViewer(CardComponent):
    """A value as JSON; what JSON has not is shown as a text.

    Args:
        data: the value.
        collapsible: taken for the sake of flows that set it, as are the next two.
        max_height: as above.
        show_copy_button: as above.
        title: the line above it.
    """

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
        """Show another value from the next refresh on."""
        self.data = data

    def text(self) -> str:
        """The value as it is shown."""
        return json.dumps(self.data, indent=2, ensure_ascii=False, default=str)

    def to_dict(self) -> "dict[str, Any]":
        """The part as JSON."""
        return {"kind": "artifact", "name": self.title, "text": self.text()}


class YAMLViewer(JSONViewer):
    """A value, or a text, as YAML; as JSON, which is YAML too, where the step has no PyYAML."""

    def text(self) -> str:
        """The value as it is shown."""
        if isinstance(self.data, str):
            return self.data
        try:
            import yaml  # noqa: PLC0415 - a step may lack it
        except ImportError:
            return super().text()
        return yaml.safe_dump(json.loads(super().text()), sort_keys=False)


class EventsTimeline(CardComponent):
    """What happened, the latest first.

    Args:
        title: the line above it.
        max_events: how many are kept.
    """

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
            event_data: names and values; ``timestamp`` is when, in seconds since 1970, now if left out.
            style_theme: what kind of event it is, such as ``success`` or ``error``.
            priority: how much it matters, such as ``high``.
            payloads: further parts of the card, by name.
            finished: whether it is the last one.
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
        """The part as JSON."""
        title = "%s%s" % (self.title or "Events", " (finished)" if self.finished else "")
        return Table(self._rows, [title, "", ""]).to_dict()
