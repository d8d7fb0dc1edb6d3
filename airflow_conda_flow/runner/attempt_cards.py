"""The cards of one attempt: made of what its step process said last, and stored beside its manifest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import DatastoreError
from airflow_conda_flow.records.task_record import FAILED, TaskRecord

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import ArtifactRef, CardContent, CardRecord, CardsMessage

_REFRESH_SECONDS = 1.0


class AttemptCards:
    """Takes what a step's cards hold, and stores pages.

    Args:
        storage: where the run is.
        cards: the attributes of the step's ``@card`` decorators.
        parameters: the references of the run's parameters, by name.
        mask: hides the step's secrets in a page.
    """

    def __init__(
        self,
        storage: Storage,
        cards: Sequence[Mapping[str, Any]],
        parameters: Mapping[str, ArtifactRef],
        mask: Callable[[bytes], bytes],
    ) -> None:
        self._mask = mask
        self._storage = storage
        self._cards = cards
        self._parameters = parameters
        self._said: list[CardContent] = [{"parts": [], "html": None} for _ in cards]
        self._refreshed = 0.0

    def take(self, message: CardsMessage, record: TaskRecord) -> None:
        """Keep what the cards hold now; while the step runs store them too, once a second at most.

        Args:
            message: the step process's.
            record: what is known of the attempt so far.
        """
        self._said = list(message["cards"])
        if message["is_last"] or time.monotonic() - self._refreshed < _REFRESH_SECONDS:
            return
        self._refreshed = time.monotonic()
        self.store(record)

    def store(self, record: TaskRecord) -> list[CardRecord]:
        """Store the pages of an attempt; returns what its record says of them."""
        stored: list[CardRecord] = []
        for name, attributes, said in zip(_names(self._cards), self._cards, self._said, strict=True):
            if said.get("is_none") or not _is_wanted(attributes, record):
                continue
            page = self._page(attributes, said, record).encode("utf-8", "backslashreplace")
            try:
                self._storage.write_bytes(layout.card(record.name, name), self._mask(page))
            except DatastoreError:
                continue  # a page is never worth a task
            stored.append({"id": name, "type": attributes["type"]})
        return stored

    def _page(self, attributes: Mapping[str, Any], said: CardContent, record: TaskRecord) -> str:
        page = said.get("html")
        if page is not None:
            return page
        from airflow_conda_flow.runner.card_page import card_page  # noqa: PLC0415 - few steps have one

        return card_page(attributes["type"], said["parts"], record, self._parameters)


def stored_cards(
    storage: Storage, record: TaskRecord, cards: Sequence[Mapping[str, Any]]
) -> list[CardRecord]:
    """The cards that an attempt stored while it ran, for the record that is made of it from outside.

    Args:
        storage: where the run is.
        record: the attempt's.
        cards: the attributes of the step's ``@card`` decorators.
    """
    if not cards:
        return []
    folder = layout.task_folder(record.task)
    there = {folder + name for name in storage.list_names(folder)}
    return [
        {"id": name, "type": attributes["type"]}
        for name, attributes in zip(_names(cards), cards, strict=True)
        if layout.card(record.name, name) in there and _is_wanted(attributes, record)
    ]


def _names(cards: Sequence[Mapping[str, Any]]) -> list[str]:
    """The ids of cards; one that has none of its own is ``card``, or is numbered."""
    return [each["id"] or ("card" if number == 0 else f"card{number}") for number, each in enumerate(cards)]


def _is_wanted(attributes: Mapping[str, Any], record: TaskRecord) -> bool:
    return record.status != FAILED or bool(attributes["save_errors"])
