"""Where the sources of a flow's code package are on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_conda_flow.errors import SettingError
from airflow_conda_flow.runner.module_places import archive_of, module_places

if TYPE_CHECKING:
    from airflow_conda_flow.flow.definition import FlowDefinition

_SETTING = "package_modules"


@dataclass(frozen=True)
class CodeSources:
    """Where the sources are.

    Attributes:
        root: directory of the flow file, or the one around its outermost package.
        modules: file or directory of each module that is elsewhere, by its name.
    """

    root: Path
    modules: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, definition: FlowDefinition, names: tuple[str, ...]) -> CodeSources:
        """Sources of a flow, and of the modules that the setting ``package_modules`` names.

        A module is looked for as the flow file's own imports are. What is directly in the flow's directory is
        left out: it is packed anyway, and under the same name.

        Raises:
            SettingError: there is no such module, or it has no sources.
        """
        root = Path(definition.root)
        found = {name: _place(name) for name in names}
        own = root.resolve()
        return cls(root, {name: path for name, path in found.items() if path.resolve().parent != own})

    def is_beside(self, path: Path) -> bool:
        """Whether a file or directory is directly in the flow's directory."""
        return os.path.realpath(path.parent) == os.path.realpath(self.root)

    def path(self, name: str) -> Path:
        """Path of a source on this machine, by its name in the code package."""
        top, _, rest = name.partition("/")
        module = self.modules.get(top if rest else top.removesuffix(".py"))
        return self.root / name if module is None else module / rest


def _place(name: str) -> Path:
    if not name.isidentifier():
        raise SettingError(
            f"The setting {_SETTING} has {name!r}; write names of modules or packages as in `import name`, "
            "without dots, separated by commas."
        )
    if name in sys.stdlib_module_names:
        raise SettingError(f"The setting {_SETTING} has {name}, which every Python has. Leave it out.")
    places = module_places(name)
    shown = ", ".join(map(str, places))
    if len(places) > 1 or any(archive_of(each) is not None for each in places):
        raise SettingError(
            f"The setting {_SETTING} has {name}, which is in several directories or in an archive: {shown}. "
            "Only a package in one directory can be packed."
        )
    if places and (places[0].is_dir() or (places[0].suffix == ".py" and places[0].is_file())):
        return places[0]
    if not places:
        raise SettingError(
            f"The setting {_SETTING} has {name}, and there is no such module here. Add the directory that it "
            "is in to PYTHONPATH, or install it."
        )
    raise SettingError(
        f"The setting {_SETTING} has {name}, which has no source: {shown}. Declare what provides it with "
        "@conda or @pypi."
    )
