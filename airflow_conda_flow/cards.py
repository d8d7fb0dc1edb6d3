"""What a step may put on its card, and the base of card types of one's own: ``import Card, Markdown, Table``.

Standard library only, Python 3.6 and later: it is shipped into step environments.
"""

import sys

from airflow_conda_flow.flow.cards.components import (
    Artifact,
    CardComponent,
    Error,
    Image,
    Markdown,
    ProgressBar,
    PythonCode,
    Table,
    ValueBox,
    VegaChart,
)
from airflow_conda_flow.flow.cards.own_card import Card
from airflow_conda_flow.flow.cards.viewers import EventsTimeline, JSONViewer, YAMLViewer

TYPE_CHECKING = False
if TYPE_CHECKING or sys.version_info < (3, 7):
    # Python 3.6 knows no __getattr__ of a module.
    from airflow_conda_flow.client.task_cards import get_cards

MetaflowCard = Card
MetaflowCardComponent = CardComponent
"""The names that flows written for Metaflow have for them."""

__all__ = [
    "Artifact",
    "Card",
    "CardComponent",
    "Error",
    "EventsTimeline",
    "Image",
    "JSONViewer",
    "Markdown",
    "MetaflowCard",
    "MetaflowCardComponent",
    "ProgressBar",
    "PythonCode",
    "Table",
    "ValueBox",
    "VegaChart",
    "YAMLViewer",
    "get_cards",
]


if not TYPE_CHECKING:  # else a type checker would take any name for one that is here

    def __getattr__(name: str) -> object:
        if name != "get_cards":  # which steps seldom ask for
            from airflow_conda_flow.flow.unknown_names import missing_attribute  # noqa: PLC0415 - only where one is wrong

            raise missing_attribute(__name__, name, __all__)
        import importlib  # noqa: PLC0415 - only where it is used

        return importlib.import_module("airflow_conda_flow.client.task_cards").get_cards
