"""Names of the cards of an attempt: of their stored pages, and their hashes."""

import hashlib
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from airflow_conda_flow.records.names import AttemptName
    from airflow_conda_flow.records.shapes import CardRecord

_DEFAULT = re.compile(r"card\d*")


def card_names(cards: "Sequence[Mapping[str, Any]]") -> "list[str]":
    """Name of each card of a step: its id, or ``card``, ``card1`` and so on without one. No two are the same.

    Args:
        cards: attributes of the step's ``@card`` decorators.

    >>> card_names([{"id": None}, {"id": "report"}, {"id": None}, {"id": "report"}])
    ['card', 'report', 'card2', 'report-3']
    """
    names: "list[str]" = []
    for number, each in enumerate(cards):
        name = each["id"] or ("card%d" % number if number else "card")
        # An id has no "-", so the longer name is nobody's id.
        names.append("%s-%d" % (name, number) if name in names else name)
    return names


def card_hash(attempt: "AttemptName", name: str) -> str:
    """Hash that names a card among all cards: the same while its task runs and after it has ended.

    >>> from airflow_conda_flow.records.names import TaskName
    >>> card_hash(TaskName("F", "1", "start", "0").attempt(0), "card")[:10]
    '82e00b09ec'
    """
    parts = [str(part) for part in attempt.parts] + [name]
    return hashlib.sha1("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()  # noqa: S324 - as Metaflow's


def current_card(card: "Any") -> "CardRecord":
    """Record of a card as current manifests have it; version 1 had the name as ``id``, also without an id."""
    if "name" in card:
        return card  # type: ignore[no-any-return]
    name = card["id"]
    return {"name": name, "id": None if _DEFAULT.fullmatch(name) else name, "type": card["type"]}
