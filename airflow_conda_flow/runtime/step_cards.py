"""``current.card``: the components that a step appends to its cards, and their way to the runner."""

import json
import time

from airflow_conda_flow.flow.cards.components import parts_to_dicts, warn
from airflow_conda_flow.flow.cards.own_card import OWN_TYPES
from airflow_conda_flow.flow.cards.types import is_known, unknown_type
from airflow_conda_flow.flow.late_bindings import bound
from airflow_conda_flow.runtime import protocol
from airflow_conda_flow.runtime.card_parts import CardParts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from airflow_conda_flow.records.shapes import CardContent
    from airflow_conda_flow.runtime.protocol import MessageStream

    Attributes = dict[str, Any]

_REST = 1.0
"""Minimum seconds between two refreshes of a card that the step process renders itself."""


class StepCard:
    """One card of the running step. Iteration yields its components.

    Attributes:
        components: the components, in order and by id.
        data: what the step last gave to ``refresh``.
    """

    def __init__(self, cards: "StepCards") -> None:
        self._cards = cards
        self._renderings = 0
        self.components = CardParts()
        self.data: "Any" = None

    def append(self, component: "Any", id: "str | None" = None) -> None:  # noqa: A002 - Metaflow's name
        """Append a component; ``id`` is its name in ``components``."""
        self.components.append(component, id)

    def extend(self, components: "Iterable[Any]") -> None:
        """Append several components."""
        self.components.extend(components)

    def clear(self) -> None:
        """Remove all components."""
        self.components.clear()

    def refresh(self, data: "Any" = None, force: bool = False) -> None:
        """Update the card with its current contents, while the step runs.

        Args:
            data: for ``render_runtime`` of a user's own card type, as ``data["user"]``; JSON must have it.
            force: update a user's own card type even if its last update was less than a second ago.
        """
        self.take(data)
        self._cards.refresh_now(force)

    def take(self, data: "Any") -> None:
        """Keep what the step gave to ``refresh``."""
        try:
            json.dumps(data)
        except (TypeError, ValueError, OverflowError, RecursionError):
            warn("current.card.refresh() takes data that JSON has; this %s is ignored." % type(data).__name__)
            data = {}
        self.data = data

    def live_data(self, mode: str, is_last: bool) -> "dict[str, Any]":
        """Data for the methods of a user's own card type.

        Args:
            mode: ``render``, ``render_runtime`` or ``refresh``.
            is_last: True if the step has ended.
        """
        self._renderings += mode == "render_runtime"
        return {
            "user": self.data,
            "components": self.components.live(),
            "render_seq": "final" if is_last else self._renderings,
            "component_update_ts": self.components.changed,
            "mode": mode,
        }

    def __iter__(self) -> "Iterator[Any]":
        return iter(self.components)

    def __len__(self) -> int:
        return len(self.components)


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
        self._by_id = _by_id(cards, self._cards)
        self._warned: "set[str]" = set()
        for each in cards:
            if not is_known(each["type"]):
                self._warn_once(unknown_type(each["type"]))

    def get(self, type: "str | None" = None) -> "list[StepCard]":  # noqa: A002 - Metaflow's name
        """All cards of a type; empty if the step has none of it."""
        return [card for each, card in zip(self._attributes, self._cards) if each["type"] == type]

    def __getitem__(self, name: str) -> "StepCard":
        """Card with this id. An unknown id gives a card that is never shown: cards must not fail a step."""
        if name not in self._by_id:
            self._warn_once(
                "This step has no card with the id %r; what is appended to it is not shown. It has: %s."
                % (name, ", ".join(map(repr, self._by_id)) or "none with an id")
            )
            return StepCard(self)
        return self._by_id[name]

    def __setitem__(self, name: str, components: "Iterable[Any]") -> None:
        """Replace the components of a card."""
        card = self[name]
        components = list(components)
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
            card.take(data)
        self.refresh_now(force)

    def refresh_now(self, force: bool) -> None:
        """Send the cards' contents; if rendering takes time, at most once a second unless forced."""
        is_due = force or time.time() - self._refreshed >= _REST
        if is_due or not any(each["type"] in OWN_TYPES for each in self._attributes):
            self._refreshed = time.time()
            self.send()

    @property
    def components(self) -> "CardParts":
        """Components of the step's card, in order and by id."""
        return self._meant().components

    def send(self, last: bool = False, done: "tuple[Any, Any] | None" = None) -> None:
        """Send the cards' contents to the runner.

        Args:
            last: True if the step has ended.
            done: artifacts and transition, if the step has succeeded.
        """
        cards = [self._content(*pair, last=last, done=done) for pair in zip(self._attributes, self._cards)]
        self._stream.send(protocol.cards(cards, last))

    def _content(
        self, attributes: "Attributes", card: "StepCard", last: bool, done: "tuple[Any, Any] | None"
    ) -> "CardContent":
        if attributes["type"] in OWN_TYPES:
            return self._own(attributes, card, last, done)
        if not is_known(attributes["type"]):
            return _problem(attributes, "", unknown_type(attributes["type"]))
        from airflow_conda_flow.runtime.own_cards import data_update  # noqa: PLC0415 - avoids work without cards

        data = card.live_data("refresh", last)
        token = "final" if last else "runtime-%s" % data["component_update_ts"]
        parts = parts_to_dicts(card.components)
        html = self._html(attributes)
        update = data_update(token, data["components"])
        return {"id": attributes["id"], "parts": parts, "html": html, "data": update}

    def _own(
        self, attributes: "Attributes", card: "StepCard", last: bool, done: "tuple[Any, Any] | None"
    ) -> "CardContent":
        """Content of a card of a user's own type; empty if the step failed, as our page then shows why."""
        if last and done is None:
            return {"id": attributes["id"], "parts": [], "html": None, "is_none": False}
        from airflow_conda_flow.flow.current_run import current  # noqa: PLC0415 - few steps have such cards
        from airflow_conda_flow.runtime import own_cards  # noqa: PLC0415 - few steps have such cards

        task = bound("running_task")(current, self._started, *(done or ()))
        said, problem = own_cards.content(attributes, card, self._flow, task)
        if problem is None:
            return said
        title = "The card of type %r was not made" % attributes["type"]
        warn("%s: %s" % (title, problem.rstrip()))
        return _problem(attributes, title, problem)

    def _html(self, card: "Attributes") -> "str | None":
        """Page made by the step itself, for types ``html`` and ``taskspec_card``; None for other types."""
        if card["type"] == "taskspec_card":
            from airflow_conda_flow.flow.current_run import current  # noqa: PLC0415 - few steps have such cards

            return current.pathspec
        if card["type"] != "html":
            return None
        value = getattr(self._flow, (card["options"] or {}).get("attribute", "html"), None)
        return value if isinstance(value, str) else None

    def _meant(self) -> "StepCard":
        """Card that ``current.card`` means: the only one that takes components, or that with ``customize``,
        or the only one without an id.
        """  # noqa: D205 - one sentence
        pairs = [pair for pair in zip(self._attributes, self._cards) if _takes_parts(pair[0])]
        chosen = [card for each, card in pairs if each["customize"]]
        if len(chosen) != 1:
            chosen = [card for each, card in pairs if each["id"] is None]
        if len(pairs) == 1:
            chosen = [pairs[0][1]]
        if len(chosen) == 1:
            return chosen[0]
        if pairs:
            self._warn_once(
                "current.card does not say which of the step's cards is meant; nothing was appended. "
                'Write current.card["id"], with one of: %s.' % ", ".join(map(repr, self._by_id))
            )
        else:
            self._warn_once(
                "current.card: no card of this step takes components; nothing was appended. "
                "A card type does if its class has ALLOW_USER_COMPONENTS = True."
            )
        return StepCard(self)

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            warn(text)


def _problem(attributes: "Attributes", title: str, text: str) -> "CardContent":
    """Content of a card that could not be made: why, or nothing if the card is not to say so."""
    parts = [{"kind": "error", "title": title, "text": text}]
    is_none = not attributes["save_errors"]
    return {"id": attributes["id"], "parts": parts, "html": None, "kind": "blank", "is_none": is_none}


def _by_id(attributes: "list[Attributes]", cards: "list[StepCard]") -> "dict[str, StepCard]":
    """Cards by id. Of several with the same id, the first that takes components without being asked."""
    found: "dict[str, StepCard]" = {}
    pairs = list(zip(attributes, cards))
    for each, card in [pair for pair in pairs if _takes_parts(pair[0])] + pairs:
        if each["id"] is not None:
            found.setdefault(each["id"], card)
    return found


def _takes_parts(attributes: "Attributes") -> bool:
    own = OWN_TYPES.get(attributes["type"])
    return own.ALLOW_USER_COMPONENTS if own is not None else attributes["type"] in {"default", "blank"}
