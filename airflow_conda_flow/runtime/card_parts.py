"""``CardParts``: the components that a step has appended to one card, in order and by id."""

import json
import os
import time

from airflow_conda_flow.flow.cards.components import CardComponent, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any


class MissingPart(CardComponent):
    """Stands for a component that was asked for by an id that no component has; its updates are no error."""

    def __init__(self, name: str) -> None:
        self.component_id = name

    def update(self, *values: "Any", **named: "Any") -> None:
        """Write to the log that there is no such component."""
        del values, named
        warn("The card has no component %r; its update is not shown." % self.component_id)


class CardParts:
    """Components of a card, in the order in which they were appended. Each has an id.

    Attributes:
        changed: when a component was last added or removed, in seconds since 1970.
    """

    def __init__(self) -> None:
        self._by_id: "dict[str, Any]" = {}
        self.changed = time.time()

    def append(self, component: "Any", id: "str | None" = None) -> None:  # noqa: A002 - Metaflow's name
        """Append a component, in place of one with the same id. Anything else is left out, with a warning."""
        if not isinstance(component, CardComponent):
            warn(
                "A card takes components, such as Markdown('text'); %s is not one and is left out."
                % _described(component)
            )
            return
        if id is not None:
            component.component_id = id
        elif component.component_id is None:
            component.component_id = _new_id(component)
        self._by_id[component.component_id] = component
        self.changed = time.time()

    def extend(self, components: "Iterable[Any]") -> None:
        """Append several components."""
        for each in components:
            self.append(each)

    def clear(self) -> None:
        """Remove all components."""
        self._by_id.clear()
        self.changed = time.time()

    def keys(self) -> "list[str]":
        """Ids of all components."""
        return list(self._by_id)

    def values(self) -> "list[Any]":
        """All components."""
        return list(self._by_id.values())

    def __getitem__(self, name: str) -> "Any":
        """Component with this id; if there is none, one that shows nothing: cards must not fail a step."""
        return self._by_id[name] if name in self._by_id else MissingPart(name)

    def __setitem__(self, name: str, component: "Any") -> None:
        """Append a component with this id; it takes the place of one with the same id."""
        self.append(component, id=name)

    def __delitem__(self, name: str) -> None:
        """Remove the component with this id.

        Raises:
            KeyError: there is none.
        """
        if name not in self._by_id:
            raise KeyError("The card has no component %r. It has: %s." % (name, ", ".join(self._by_id)))
        del self._by_id[name]
        self.changed = time.time()

    def __contains__(self, name: object) -> bool:
        return name in self._by_id

    def __iter__(self) -> "Iterator[Any]":
        return iter(self.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def __repr__(self) -> str:
        return "CardParts(%s)" % ", ".join(self._by_id)

    def rendered(self) -> "list[Any]":
        """Text or plain data of each component, for a card of a user's own type."""
        return [text for _, text in self._rendered() if text is not None]

    def live(self) -> "dict[str, Any]":
        """Text or plain data of the components that change while the step runs, by id."""
        found = self._rendered()
        return {
            each.component_id: text for each, text in found if text is not None and each.REALTIME_UPDATABLE
        }

    def _rendered(self) -> "list[tuple[Any, Any]]":
        return [(each, _rendered(each)) for each in self.values()]


def _rendered(component: "Any") -> "Any":
    """Text or plain data of a component; None, with a warning, if it gives neither."""
    try:
        found = component.render()
        if not isinstance(found, str):
            json.dumps(found)
        if isinstance(found, (str, dict)):
            return found
        problem = "render() gives a %s; write a text or a dict." % type(found).__name__
    except Exception as error:  # noqa: BLE001 - a component must never fail its step
        problem = "%s: %s" % (type(error).__name__, error)
    warn("A %s is left out of the card: %s" % (type(component).__name__, problem))
    return None


def _described(value: "Any") -> str:
    kind = "%s %s" % ("an" if type(value).__name__[0] in "aeiou" else "a", type(value).__name__)
    return "%s, %.40r," % (kind, value) if isinstance(value, (str, int, float)) else kind


def _new_id(component: "Any") -> str:
    return "%s_%s" % (type(component).__name__.lower(), os.urandom(3).hex())
