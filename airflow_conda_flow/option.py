"""What one setting is, as users see it; ``settings`` reads them, and the files beside it list them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Option:
    """One setting as users see it.

    Attributes:
        name: its name in ``[conda_flow]`` and, with dashes, on the command line.
        default: the text that stands for it where nobody sets it.
        description: one paragraph for the reference pages.
        aliases: other environment variables, also looked up in Metaflow's configuration file.
        choices: the texts that are allowed; empty for any.
        kind: the type shown in Airflow's reference.
    """

    name: str
    default: str
    description: str
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    kind: str = "string"

    @property
    def environment_variable(self) -> str:
        """The variable that sets it outside Airflow, such as ``CONDA_FLOW_DATASTORE``."""
        return f"CONDA_FLOW_{self.name.upper()}"


class FoundText(NamedTuple):
    """An option's text, and where it stood, for messages."""

    text: str
    source: str
