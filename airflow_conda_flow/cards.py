"""Components that a step can put on its card, and ``Card``, the base class of custom card types.

Standard library only, Python 3.6 and later: it is shipped into step environments.
"""

import sys

from airflow_conda_flow.flow.cards.built_in import BlankCard, DagComponent, DefaultCard, ErrorCard, Section
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
    # Python 3.6 has no module-level __getattr__.
    from airflow_conda_flow.client.task_cards import get_cards

MetaflowCard = Card
MetaflowCardComponent = CardComponent
PageComponent = SectionComponent = Section
"""Metaflow's names of these classes."""

__all__ = [
    "Artifact",
    "BlankCard",
    "Card",
    "CardComponent",
    "DagComponent",
    "DefaultCard",
    "Error",
    "ErrorCard",
    "EventsTimeline",
    "Image",
    "JSONViewer",
    "Markdown",
    "MetaflowCard",
    "MetaflowCardComponent",
    "PageComponent",
    "ProgressBar",
    "PythonCode",
    "Section",
    "SectionComponent",
    "Table",
    "ValueBox",
    "VegaChart",
    "YAMLViewer",
    "get_cards",
]


if not TYPE_CHECKING:  # otherwise a type checker would accept any name

    def __getattr__(name: str) -> object:
        if name != "get_cards":  # imported on first use: steps rarely need it
            from airflow_conda_flow.flow.unknown_names import missing_attribute  # noqa: PLC0415 - only for an unknown name

            raise missing_attribute(__name__, name, __all__)
        import importlib  # noqa: PLC0415 - only for get_cards

        return importlib.import_module("airflow_conda_flow.client.task_cards").get_cards
