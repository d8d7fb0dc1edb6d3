"""``current.card``: the components that a step appends to its cards, and their way to the runner."""

import sys
import time

from airflow_conda_flow.flow.cards.components import parts_to_dicts
from airflow_conda_flow.flow.cards.own_card import OWN_TYPES
from airflow_conda_flow.flow.late_bindings import bound
from airflow_conda_flow.runtime import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from airflow_conda_flow.records.shapes import CardContent
    from airflow_conda_flow.runtime.protocol import MessageStream

    Attributes = dict[str, Any]

_REST = 1.0
"""Minimum seconds between two refreshes of a card that the step process renders itself."""


class StepCard:
    """One card of the running step."""

    def __init__(self, cards: "StepCards") -> None:
        self._cards = cards
        self.parts: "list[Any]" = []
        self.data: "Any" = None
        self.components: "dict[str, Any]" = {}

    def append(self, component: "Any", id: "str | None" = None) -> None:  # noqa: A002 - Metaflow's name
        """Append a component; with an ``id`` it is also available in ``components``."""
        self.parts.append(component)
        if id is not None:
            self.components[id] = component

    def extend(self, components: "Iterable[Any]") -> None:
        """Append several components."""
        self.parts.extend(components)

    def clear(self) -> None:
        """Remove all components."""
        del self.parts[:]
        self.components.clear()

    def refresh(self, data: "Any" = None, force: bool = False) -> None:
        """Update the card with its current contents, while the step runs.

        Args:
            data: passed to ``render_runtime`` of a user's own card type.
            force: update a user's own card type even if its last update was less than a second ago.
        """
        self.data = data
        self._cards.refresh_now(force)


class StepCards:
    """Cards of the running step: ``current.card``, and ``current.card["id"]``.

    Args:
        cards: attributes of the card decorators.
        stream: connection to the runner.
        flow: the flow object, for cards that show an artifact unchanged.
    """

    def __init__(self, cards: "list[Attributes]", stream: "MessageStream", flow: "Any") -> None:
        self._flow = flow
        self._started = time.strftime("%Y-%m-%dT%H:%M:%S.000000+00:00", time.gmtime())
        self._refreshed = 0.0
        self._attributes = cards
        self._stream = stream
        self._cards = [StepCard(self) for _ in cards]
        self._by_id = {each["id"]: card for each, card in zip(cards, self._cards) if each["id"] is not None}

    def __getitem__(self, name: str) -> "StepCard":
        """Card with this id. An unknown id gives a card that is never shown: cards must not fail a step."""
        if name not in self._by_id:
            sys.stderr.write(
                "This step has no card with the id %r; what is appended to it is not shown. It has: %s.\n"
                % (name, ", ".join(map(repr, self._by_id)) or "none with an id")
            )
            return StepCard(self)
        return self._by_id[name]

    def __setitem__(self, name: str, components: "Iterable[Any]") -> None:
        """Replace the components of a card."""
        card = self[name]
        card.clear()
        card.extend(components)

    def __contains__(self, name: str) -> bool:
        return name in self._by_id

    def append(self, component: "Any", id: "str | None" = None) -> None:  # noqa: A002 - Metaflow's name
        """Append a component to the step's card."""
        self._meant().append(component, id)

    def extend(self, components: "Iterable[Any]") -> None:
        """Append several components to the step's card."""
        self._meant().extend(components)

    def clear(self) -> None:
        """Remove all components from the step's card."""
        self._meant().clear()

    def refresh(self, data: "Any" = None, force: bool = False) -> None:
        """Update all cards with their current contents, while the step runs; as ``StepCard.refresh``."""
        for card in self._cards:
            card.data = data
        self.refresh_now(force)

    def refresh_now(self, force: bool) -> None:
        """Send the cards' contents; if rendering takes time, at most once a second unless forced."""
        is_due = force or time.time() - self._refreshed >= _REST
        if is_due or not any(each["type"] in OWN_TYPES for each in self._attributes):
            self._refreshed = time.time()
            self.send()

    @property
    def components(self) -> "dict[str, Any]":
        """Components of the step's card that were appended with an id."""
        return self._meant().components

    def send(self, last: bool = False, done: "tuple[Any, Any] | None" = None) -> None:
        """Send the cards' contents to the runner.

        Args:
            last: True if the step has ended.
            done: artifacts and transition, if the step has succeeded.
        """
        cards = [
            self._own(each, card, last, done) if each["type"] in OWN_TYPES else self._ours(each, card)
            for each, card in zip(self._attributes, self._cards)
        ]
        self._stream.send(protocol.cards(cards, last))

    def _ours(self, attributes: "Attributes", card: "StepCard") -> "CardContent":
        return {"id": attributes["id"], "parts": parts_to_dicts(card.parts), "html": self._html(attributes)}

    def _own(
        self, attributes: "Attributes", card: "StepCard", last: bool, done: "tuple[Any, Any] | None"
    ) -> "CardContent":
        """Content of a card of a user's own type; empty if the step failed, as our page then shows why."""
        said: "CardContent" = {"id": attributes["id"], "parts": [], "html": None, "is_none": False}
        if last and done is None:
            return said
        from airflow_conda_flow.flow.current_run import current  # noqa: PLC0415 - few steps have such cards
        from airflow_conda_flow.runtime import own_cards  # noqa: PLC0415 - few steps have such cards

        task = bound("running_task")(current, self._started, *(done or ()))
        said["html"], problem = own_cards.rendered(attributes, card.parts, self._flow, task, card.data)
        if problem is not None:
            title = "The card of type %r was not made" % attributes["type"]
            sys.stderr.write("%s: %s\n" % (title, problem.rstrip()))
            said["parts"] = [{"kind": "error", "title": title, "text": problem}]
        said["is_none"] = said["html"] is None and (problem is None or not attributes["save_errors"])
        return said

    def _html(self, card: "Attributes") -> "str | None":
        """Page made by the step itself, for a card of type ``html``; None for other types."""
        if card["type"] != "html":
            return None
        value = getattr(self._flow, (card["options"] or {}).get("attribute", "html"), None)
        return value if isinstance(value, str) else None

    def _meant(self) -> "StepCard":
        """Card that ``current.card`` means: the only card, or that with ``customize``, or without an id."""
        if len(self._cards) == 1:
            return self._cards[0]
        pairs = [pair for pair in zip(self._attributes, self._cards) if _takes_parts(pair[0])]
        chosen = [card for each, card in pairs if each["customize"]]
        chosen = chosen or [card for each, card in pairs if each["id"] is None]
        if len(chosen) == 1:
            return chosen[0]
        sys.stderr.write(
            "current.card does not say which of the step's cards is meant; nothing was appended. "
            'Write current.card["id"], with one of: %s.\n' % ", ".join(map(repr, self._by_id))
        )
        return StepCard(self)


def _takes_parts(attributes: "Attributes") -> bool:
    own = OWN_TYPES.get(attributes["type"])
    return own is None or own.ALLOW_USER_COMPONENTS
