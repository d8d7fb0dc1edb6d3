"""What a step may put on its card, and the base of card types of one's own: ``import Card, Markdown, Table``.

Standard library only, Python 3.6 and later: it is shipped into step environments.
"""

from airflow_conda_flow.flow.card_components import (
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
from airflow_conda_flow.flow.own_card import Card

MetaflowCard = Card
MetaflowCardComponent = CardComponent
"""The names that flows written for Metaflow have for them."""

__all__ = [
    "Artifact",
    "Card",
    "CardComponent",
    "Error",
    "Image",
    "Markdown",
    "MetaflowCard",
    "MetaflowCardComponent",
    "ProgressBar",
    "PythonCode",
    "Table",
    "ValueBox",
    "VegaChart",
]
