"""What a step may put on its card: ``from airflow_conda_flow.cards import Markdown, Table, Image``.

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

__all__ = [
    "Artifact",
    "CardComponent",
    "Error",
    "Image",
    "Markdown",
    "ProgressBar",
    "PythonCode",
    "Table",
    "ValueBox",
    "VegaChart",
]
