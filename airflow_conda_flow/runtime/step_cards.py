"""``current.card``: what a step appends to its cards, and how that gets to the runner."""

import sys

from airflow_conda_flow.flow.card_components import parts_to_dicts
from airflow_conda_flow.runtime import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from airflow_conda_flow.runtime.protocol import Message, MessageStream


class StepCard(object):
    """One card of the running step."""

    def __init__(self, cards):
        # type: (StepCards) -> None
        self._cards = cards
        self.parts = []  # type: list[Any]
        self.components = {}  # type: dict[str, Any]

    def append(self, component, id=None):  # noqa: A002 - the field's own name for it
        # type: (Any, str | None) -> None
        """Put a part at the end; with an ``id`` it can be had from ``components`` again."""
        self.parts.append(component)
        if id is not None:
            self.components[id] = component

    def extend(self, components):
        # type: (Iterable[Any]) -> None
        """Put parts at the end."""
        self.parts.extend(components)

    def clear(self):
        # type: () -> None
        """Take all parts away."""
        del self.parts[:]
        self.components.clear()

    def refresh(self, data=None, force=False):
        # type: (Any, bool) -> None
        """Make the card anew from what it holds now, while the step runs."""
        del data, force
        self._cards.send()


class StepCards(object):
    """The cards of the running step: ``current.card``, and ``current.card["id"]``.

    Args:
        cards: the attributes of its decorators.
        stream: the way to the runner.
        flow: the flow object, for cards that show an artifact as it is.
    """

    def __init__(self, cards, stream, flow):
        # type: (list[Message], MessageStream, Any) -> None
        self._flow = flow
        self._attributes = cards
        self._stream = stream
        self._cards = [StepCard(self) for _ in cards]
        self._by_id = {each["id"]: card for each, card in zip(cards, self._cards) if each["id"] is not None}

    def __getitem__(self, name):
        # type: (str) -> StepCard
        try:
            return self._by_id[name]
        except KeyError:
            raise KeyError(
                "This step has no card with the id %r. It has: %s."
                % (name, ", ".join(map(repr, self._by_id)) or "none with an id")
            ) from None

    def __contains__(self, name):
        # type: (str) -> bool
        return name in self._by_id

    def append(self, component, id=None):  # noqa: A002 - the field's own name for it
        # type: (Any, str | None) -> None
        """Put a part at the end of the step's card."""
        self._meant().append(component, id)

    def extend(self, components):
        # type: (Iterable[Any]) -> None
        """Put parts at the end of the step's card."""
        self._meant().extend(components)

    def clear(self):
        # type: () -> None
        """Take all parts of the step's card away."""
        self._meant().clear()

    def refresh(self, data=None, force=False):
        # type: (Any, bool) -> None
        """Make the cards anew from what they hold now, while the step runs."""
        del data, force
        self.send()

    @property
    def components(self):
        # type: () -> dict[str, Any]
        """The parts of the step's card that were appended with an id."""
        return self._meant().components

    def send(self, last=False):
        # type: (bool) -> None
        """Give the runner what the cards hold."""
        cards = [
            {"id": each["id"], "parts": parts_to_dicts(card.parts), "html": self._html(each)}
            for each, card in zip(self._attributes, self._cards)
        ]
        self._stream.send(protocol.cards(cards, last))

    def _html(self, card):
        # type: (Message) -> str | None
        """The page that the step made itself, of a card that shows an artifact as it is."""
        if card["type"] != "html":
            return None
        value = getattr(self._flow, (card["options"] or {}).get("attribute", "html"), None)
        return value if isinstance(value, str) else None

    def _meant(self):
        # type: () -> StepCard
        """The card that ``current.card`` means: the only one, the one to customize, or that without an id."""
        if len(self._cards) == 1:
            return self._cards[0]
        pairs = list(zip(self._attributes, self._cards))
        chosen = [card for each, card in pairs if each["customize"]]
        chosen = chosen or [card for each, card in pairs if each["id"] is None]
        if len(chosen) == 1:
            return chosen[0]
        sys.stderr.write(
            "current.card does not say which of the step's cards is meant; nothing was appended. "
            'Write current.card["id"], with one of: %s.\n' % ", ".join(map(repr, self._by_id))
        )
        return StepCard(self)
