"""The package's description on a package index: README.md, without the links that lead nowhere there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE_LINK = re.compile(r"\[([^\]]+)\]\((?![a-z]+:)([^)#]+)(?:#[^)]*)?\)")


class ReadmeHook(MetadataHookInterface):
    """Hook of hatchling that gives the field ``readme``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the readme to the package's metadata."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": without_relative_links(text)}


def without_relative_links(text: str) -> str:
    """Markdown in which links to files of the repository are their text and the file's name.

    The project has no public address to make them absolute with.

    >>> without_relative_links("[Cards](docs/cards.md#how) and [Airflow](https://airflow.apache.org)")
    'Cards (`docs/cards.md`) and [Airflow](https://airflow.apache.org)'
    """
    return _RELATIVE_LINK.sub(r"\1 (`\2`)", text)
