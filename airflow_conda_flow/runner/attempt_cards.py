"""The cards of one attempt: made of what its step process said last, and stored beside its manifest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow_conda_flow.datastore import layout
from airflow_conda_flow.datastore.storage import Storage
from airflow_conda_flow.errors import DatastoreError

Manifest = Mapping[str, Any]
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
        parameters: Mapping[str, Any],
        mask: Callable[[bytes], bytes],
    ) -> None:
        self._mask = mask
        self._storage = storage
        self._cards = cards
        self._parameters = parameters
        self._said: list[Mapping[str, Any]] = [{"parts": [], "html": None} for _ in cards]
        self._refreshed = 0.0

    def take(self, message: Mapping[str, Any], manifest: Manifest) -> None:
        """Keep what the cards hold now; while the step runs store them too, once a second at most.

        Args:
            message: of ``runtime.protocol.cards``.
            manifest: what is known of the task so far.
        """
        self._said = list(message["cards"])
        if message["is_last"] or time.monotonic() - self._refreshed < _REFRESH_SECONDS:
            return
        self._refreshed = time.monotonic()
        self._store_all(manifest)

    def store(self, manifest: Manifest) -> list[dict[str, Any]]:
        """Store the pages of a task that has ended; returns what its manifest says of them."""
        return self._store_all(manifest)

    def _store_all(self, manifest: Manifest) -> list[dict[str, Any]]:
        stored = []
        failed = manifest["status"] == "failed"
        for number, (attributes, said) in enumerate(zip(self._cards, self._said, strict=True)):
            if said.get("is_none") or (failed and not attributes["save_errors"]):
                continue
            name = attributes["id"] or ("card" if number == 0 else f"card{number}")
            page = self._page(attributes, said, manifest)
            key = layout.card(
                manifest["flow"],
                manifest["run_id"],
                manifest["step"],
                manifest["task_id"],
                manifest["attempt"],
                name,
            )
            try:
                self._storage.write_bytes(key, self._mask(page.encode("utf-8", "backslashreplace")))
            except DatastoreError:
                continue  # a page is never worth a task
            stored.append({"id": name, "type": attributes["type"]})
        return stored

    def _page(self, attributes: Mapping[str, Any], said: Mapping[str, Any], manifest: Manifest) -> str:
        if said.get("html") is not None:
            return str(said["html"])
        from airflow_conda_flow.runner.card_page import card_page  # noqa: PLC0415 - few steps have one

        return card_page(attributes["type"], said["parts"], manifest, self._parameters)
