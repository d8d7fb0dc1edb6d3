"""The cards of one attempt: HTML pages stored in the folder of its manifest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import DatastoreError
from airflow_conda_flow.records.card_names import card_names
from airflow_conda_flow.records.task_record import FAILED, TaskRecord

if TYPE_CHECKING:
    from airflow_conda_flow.records.shapes import ArtifactRef, CardContent, CardRecord, CardsMessage

# A page is written whole, so a step that refreshes in a tight loop would flood the datastore. Waiting longer
# would only make a card less live; docs/cards.md states this limit.
_REFRESH_SECONDS = 1.0


class AttemptCards:
    """Receives the contents of a step's cards and stores them as pages.

    Args:
        storage: the datastore's.
        cards: the attributes of the step's ``@card`` decorators.
        parameters: the references of the run's parameters, by name.
        mask: replaces the step's secrets in a page.
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
        """Keep the cards' contents; while the step runs also store the pages, once a second at most.

        Args:
            message: from the step process.
            record: the attempt's record so far.
        """
        self._said = list(message["cards"])
        if message["is_last"] or time.monotonic() - self._refreshed < _REFRESH_SECONDS:
            return
        self._refreshed = time.monotonic()
        self.store(record)

    def store(self, record: TaskRecord) -> list[CardRecord]:
        """Store the attempt's pages and return their entries for its record.

        A page that cannot be stored is left out: a card must not make a task fail.
        """
        stored: list[CardRecord] = []
        for name, attributes, said in zip(card_names(self._cards), self._cards, self._said, strict=True):
            if said.get("is_none") or not _is_wanted(attributes, record):
                continue
            try:
                self._write(layout.card(record.name, name), self._page(attributes, said, record))
                if data := said.get("data"):
                    self._write(layout.card_data(record.name, name), data)
            except DatastoreError:
                continue
            stored.append({"name": name, "id": attributes["id"], "type": attributes["type"]})
        return stored

    def _write(self, key: str, text: str) -> None:
        self._storage.write_bytes(key, self._mask(text.encode("utf-8", "backslashreplace")))

    def _page(self, attributes: Mapping[str, Any], said: CardContent, record: TaskRecord) -> str:
        page = said.get("html")
        if page is not None:
            return page
        from airflow_conda_flow.runner.card_page import card_page  # noqa: PLC0415 - few steps have one

        return card_page(said.get("kind") or attributes["type"], said["parts"], record, self._parameters)


def stored_cards(
    storage: Storage, record: TaskRecord, cards: Sequence[Mapping[str, Any]]
) -> list[CardRecord]:
    """Cards that an attempt stored while it ran, for a record that is made from outside.

    Args:
        storage: the datastore's.
        record: the attempt's.
        cards: the attributes of the step's ``@card`` decorators.
    """
    if not cards:
        return []
    folder = layout.task_folder(record.task)
    there = {folder + name for name in storage.list_names(folder)}
    return [
        {"name": name, "id": attributes["id"], "type": attributes["type"]}
        for name, attributes in zip(card_names(cards), cards, strict=True)
        if layout.card(record.name, name) in there and _is_wanted(attributes, record)
    ]


def _is_wanted(attributes: Mapping[str, Any], record: TaskRecord) -> bool:
    return record.status != FAILED or bool(attributes["save_errors"])
