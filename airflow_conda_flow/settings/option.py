"""Definition of a setting. ``settings``, ``remote_options`` and ``batch_options`` list all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Option:
    """A setting, as users see it.

    Attributes:
        name: name in Airflow's section ``[conda_flow]``; where the command line has an option for the
            setting, its name with dashes.
        default: text that is used if no source has one.
        description: paragraph for the reference pages.
        aliases: other environment variables; they are keys of Metaflow's configuration file too.
        choices: allowed texts; empty if any text is allowed.
        kind: type that Airflow's reference shows.
    """

    name: str
    default: str
    description: str
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    kind: str = "string"

    @property
    def environment_variable(self) -> str:
        """Name of the environment variable, such as ``CONDA_FLOW_DATASTORE``."""
        return f"CONDA_FLOW_{self.name.upper()}"


class FoundText(NamedTuple):
    """Text of an option, with its source.

    Attributes:
        text: the text.
        source: place of the text, as the beginning of an error message.
    """

    text: str
    source: str
