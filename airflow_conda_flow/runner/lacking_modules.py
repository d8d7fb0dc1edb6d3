"""Modules that a flow imports here and that its steps will not find: a line for each, before anything runs.

A step in an environment of its own imports what is in the code package, in the environment and in Python.
This process also imports from ``PYTHONPATH``, from directories of editable installs and, in Airflow, from the
DAG folder. Nothing is said unless it is certain: not of installed libraries, which the environment may have
under the name of another package.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.runner.code_sources import CodeSources
from airflow_conda_flow.runner.flow_imports import flow_imports
from airflow_conda_flow.runner.module_places import archive_of, has_module, module_places
from airflow_conda_flow.runner.module_providers import ModuleProviders

_OWN = __name__.partition(".")[0]  # the runtime brings it to every step
_INSTALLED = {"site-packages", "dist-packages"}
_LIBRARIES = {str(Path(os.__file__).parent), *map(sysconfig.get_path, ("stdlib", "platstdlib"))}


@dataclass(frozen=True)
class _Lacking:
    """A module that steps lack.

    Attributes:
        name: its name.
        path: its file or directory on this machine.
        place: file and line of its first import.
        steps: the steps, as keys.
    """

    name: str
    path: Path
    place: tuple[str, int]
    steps: dict[str, None] = field(default_factory=dict)

    @property
    def is_replaced(self) -> bool:
        """Whether steps find a module of Python's own under the name."""
        return self.name in sys.stdlib_module_names

    @property
    def can_be_named(self) -> bool:
        """Whether the setting ``package_modules`` can name it."""
        is_source = self.path.is_dir() or (self.path.suffix == ".py" and self.path.is_file())
        return is_source and not self.is_replaced

    def line(self, setting: str, flow_file: Path, root: Path) -> str:
        """The line.

        Args:
            setting: value of ``package_modules`` with all modules that are lacking.
            flow_file: the flow file.
            root: directory of the flow's own modules.
        """
        place = f"{self.place[0]}:{self.place[1]}"
        who = f"{'Steps' if len(self.steps) > 1 else 'Step'} {', '.join(self.steps)}"
        if self.is_replaced:
            verb = "import" if len(self.steps) > 1 else "imports"
            return (
                f"{place}: {who} {verb} another module {self.name}: that of Python's standard library, and "
                f"not {self.path}, which is imported here. Rename it."
            )
        advice = "Declare what provides it with @conda or @pypi."
        if (archive := archive_of(self.path)) is not None:
            advice = f"Unpack {archive} in {root}, or declare what provides it with @conda or @pypi."
        elif self.can_be_named:
            named = f"Name it in the setting package_modules (CONDA_FLOW_PACKAGE_MODULES={setting})"
            advice = f"{named}, or move it to {root}."
            if flow_file.resolve().is_relative_to(self.path.resolve()):  # a package that the flow is part of
                below = flow_file.resolve().relative_to(self.path.resolve().parent).with_suffix("")
                advice = f"{named}, or start the flow as a module: python -m {'.'.join(below.parts)}"
        return (
            f"{place}: {who} {'lack' if len(self.steps) > 1 else 'lacks'} the module {self.name}, which is "
            f"imported from {self.path} here: it is not beside the flow file, and no package of the "
            f"environment has its name. {advice}"
        )


def lacking_modules(
    definition: FlowDefinition, sources: CodeSources, packages: Mapping[str, Collection[str]]
) -> list[str]:
    """Lines that name the modules, where they are, who lacks them, and what to write.

    Args:
        definition: the flow.
        sources: what its code package is made of.
        packages: names of the packages in each step's environment, as far as they are known; only of steps
            that have one.
    """
    if not packages:
        return []
    found: dict[str, _Lacking] = {}
    providers = ModuleProviders()
    for each in flow_imports(definition, sources):
        path = _place_elsewhere(each.name, sources)
        if path is None:
            continue
        lacking = _Lacking(each.name.partition(".")[0], path, each.place)
        steps = [step for step in ([each.step] if each.step else packages) if step in packages]
        if not lacking.is_replaced:  # environments come after the standard library
            steps = [step for step in steps if not providers.may_be_in(packages[step], lacking.name, path)]
        if steps:
            found.setdefault(lacking.name, lacking).steps.update(dict.fromkeys(steps))
    setting = ",".join([*sources.modules, *(each.name for each in found.values() if each.can_be_named)])
    flow_file = Path(definition.file)
    return [each.line(setting, flow_file, sources.root) for each in found.values()]


def _place_elsewhere(name: str, sources: CodeSources) -> Path | None:
    """File or directory of the user's that an import finds and that is not shipped; None if it may be.

    Args:
        name: the module with dots. Its top-level part alone may be a directory that has the name of a library
            by chance, and that has no such module.
        sources: what the code package is made of.
    """
    top, _, rest = name.partition(".")
    if top == _OWN or top in sources.modules:
        return None
    places = module_places(top)
    if len(places) != 1:
        return None
    (path,) = places
    if sources.is_beside(path) or _is_installed(path):
        return None
    if archive_of(path) is None and not path.exists():
        return None
    if path.suffix in {".py", ".so", ".pyd", ".pyc"}:
        return None if rest else path
    return path if has_module(path, rest.partition(".")[0] or "__init__") else None


def _is_installed(path: Path) -> bool:
    """True for Python's own modules and for a library that an installer put there, also with ``--target``."""
    folder = path.parent.resolve()
    return (
        not _INSTALLED.isdisjoint(folder.parts)
        or any(folder.is_relative_to(Path(each).resolve()) for each in _LIBRARIES)
        or any(folder.glob("*.dist-info"))
    )
