"""Types of cards that are built in, and the words about a type that does not exist."""

from airflow_conda_flow.flow.cards.own_card import OWN_TYPES
from airflow_conda_flow.flow.decorators.base import nearest

TYPES = ("default", "blank", "html", "taskspec_card")


def is_known(kind: str) -> bool:
    """True if there is a card type of this name."""
    return kind in TYPES or kind in OWN_TYPES


def unknown_type(kind: str) -> str:
    """Sentences about a type that neither is built in nor has a class."""
    known = sorted(set(TYPES) | set(OWN_TYPES))
    return (
        "@card: there is no type %r.%s There is: %s. A type of your own is a subclass of "
        "airflow_conda_flow.cards.Card, in this file or in one that it imports."
        % (kind, nearest(kind, known), ", ".join(known))
    )
