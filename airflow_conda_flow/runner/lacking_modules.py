"""Modules that a flow imports here and that its steps will not find: a line for each, before anything runs.

A step in an environment of its own imports what is in the code package, in the environment and in Python.
This process also imports from ``PYTHONPATH``, from directories of editable installs and, in Airflow, from the
DAG folder. Nothing is said unless it is certain: not of installed libraries, which the environment may have
under the name of another package, and not of a flow that changes ``sys.path``, which its steps do too.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import os
import re
import sys
import tokenize
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.runner.code_sources import CodeSources

_OWN = __name__.partition(".")[0]  # the runtime brings it to every step
_CHANGES_PATH = re.compile(r"\bsys\.path\b|\baddsitedir\b")
_INSTALLED = {"site-packages", "dist-packages"}
_SHORT = 4  # characters: a shorter name is part of too many others


@dataclass(frozen=True)
class _Import:
    """A module that the flow imports.

    Attributes:
        name: its name with dots.
        place: file and line of the import.
        step: the step that imports it; empty if every step does, as the flow file is imported.
    """

    name: str
    place: tuple[str, int]
    step: str = ""


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
    def has_source(self) -> bool:
        """Whether a code package can have it."""
        return self.path.is_dir() or self.path.suffix == ".py"

    def line(self, setting: str, flow_file: Path, root: Path) -> str:
        """The line.

        Args:
            setting: value of ``package_modules`` with all modules that are lacking.
            flow_file: the flow file.
            root: directory of the flow's own modules.
        """
        steps = ", ".join(self.steps)
        who = f"Steps {steps} lack" if len(self.steps) > 1 else f"Step {steps} lacks"
        advice = "Declare what provides it with @conda or @pypi."
        if self.has_source:
            named = f"Name it in the setting package_modules (CONDA_FLOW_PACKAGE_MODULES={setting})"
            advice = f"{named}, or move it to {root}."
            if flow_file.resolve().is_relative_to(self.path.resolve()):  # a package that the flow is part of
                below = flow_file.resolve().relative_to(self.path.resolve().parent).with_suffix("")
                advice = f"{named}, or start the flow as a module: python -m {'.'.join(below.parts)}"
        return (
            f"{self.place[0]}:{self.place[1]}: {who} the module {self.name}, which is imported from "
            f"{self.path} here: it is not beside the flow file, and no package of the environment has its "
            f"name. {advice}"
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
    distributions: Mapping[str, list[str]] | None = None  # takes a while, and is rarely needed
    for each in _imports(definition, sources):
        path = _place_elsewhere(each.name, sources)
        if path is None:
            continue
        if distributions is None:
            distributions = importlib.metadata.packages_distributions()
        top = _top(each.name)
        names = [top, *distributions.get(top, ())]
        steps = [step for step in ([each.step] if each.step else packages) if step in packages]
        steps = [step for step in steps if not _may_provide(packages[step], names)]
        if steps:
            known = found.setdefault(top, _Lacking(top, path, each.place))
            known.steps.update(dict.fromkeys(steps))
    setting = ",".join([*sources.modules, *(each.name for each in found.values() if each.has_source)])
    flow_file = Path(definition.file)
    return [each.line(setting, flow_file, sources.root) for each in found.values()]


def _imports(definition: FlowDefinition, sources: CodeSources) -> Iterator[_Import]:
    """Imports that every step executes, and those of single steps; none if ``sys.path`` is changed."""
    files = list(_shipped_files(definition, sources))
    if any(_CHANGES_PATH.search(each.text) for each in files):
        return
    classes = {(each.__module__, each.__qualname__) for each in definition.flow_class.__mro__}
    for each in files:
        yield from each.imports(each.tree.body)
        for node in each.tree.body:
            if isinstance(node, ast.ClassDef) and (each.module, node.name) in classes:
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and method.name in definition.graph.steps:
                        yield from each.imports(method.body, method.name)
    for step, records in definition.user_decorators.items():
        place = (definition.graph.steps[step].file or definition.file, definition.graph.steps[step].line)
        # The step imports their modules: they may come from a mutator or from ``--with``.
        yield from (_Import(each["module"], place, step) for each in records if each["module"])


@dataclass(frozen=True)
class _File:
    """A source that each step imports.

    Attributes:
        module: name of the module.
        path: the file.
        text: its text.
        tree: its syntax tree.
    """

    module: str
    path: str
    text: str
    tree: ast.Module

    def names(self, body: list[ast.stmt]) -> Iterator[tuple[str, int]]:
        """Names with dots, and lines, of what statements import for certain, and not below conditions."""
        for node in body:
            yield from ((name, node.lineno) for name in _absolute_names(node, self.module))

    def imports(self, body: list[ast.stmt], step: str = "") -> Iterator[_Import]:
        """Imports of statements, by that step alone if one is given."""
        yield from (_Import(name, (self.path, line), step) for name, line in self.names(body))


def _shipped_files(definition: FlowDefinition, sources: CodeSources) -> Iterator[_File]:
    """The flow file, and the sources of the code package that importing it imports."""
    waiting = [(definition.flow_class.__module__, definition.file)]
    seen: set[str] = set()
    while waiting:
        module, path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        try:
            with tokenize.open(path) as opened:
                text = opened.read()
            file = _File(module, path, text, ast.parse(text))
        except (OSError, SyntaxError, ValueError):  # changed since it was imported
            continue
        yield file
        for name, _ in file.names(file.tree.body):
            waiting.extend(_shipped_modules(name, sources))


def _top(name: str) -> str:
    return name.partition(".")[0]


def _absolute_names(node: ast.stmt, module: str) -> list[str]:
    """Modules that a statement may import, with dots; empty for any other statement."""
    if isinstance(node, ast.Import):
        return [each.name for each in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        package = getattr(sys.modules.get(module), "__package__", None)
        try:
            base = importlib.util.resolve_name("." * node.level + base, package)
        except (ImportError, TypeError, ValueError):
            return []
    return [base, *(f"{base}.{each.name}" for each in node.names)]


def _shipped_modules(name: str, sources: CodeSources) -> Iterator[tuple[str, str]]:
    """Name and file of a module and of the packages around it, if they are in the code package."""
    top = _top(name)
    if top not in sources.modules and not _is_beside(_spec_path(top), sources):
        return
    parts = name.split(".")
    for number in range(1, len(parts) + 1):
        module = ".".join(parts[:number])
        file = getattr(sys.modules.get(module), "__file__", None)
        if file is not None and file.endswith(".py"):
            yield module, os.path.abspath(file)  # noqa: PTH100 - as ``definition.file`` is made


def _place_elsewhere(name: str, sources: CodeSources) -> Path | None:
    """File or directory of the user's that an import finds and that is not shipped; None if it may be.

    Args:
        name: the module with dots. Its top-level part alone may be a directory that has the name of a library
            by chance, and that has no such module.
        sources: what the code package is made of.
    """
    top, _, rest = name.partition(".")
    if top in sys.stdlib_module_names or top == _OWN or top in sources.modules:
        return None
    path = _spec_path(top)
    if path is None or _is_beside(path, sources) or _is_installed(path):
        return None
    below = path / (_top(rest) or "__init__")
    is_there = below.is_dir() or below.with_suffix(".py").is_file()
    return path if is_there or (path.is_file() and not rest) else None


def _spec_path(name: str) -> Path | None:
    """File or directory of a top-level module; None if it is nowhere, in an archive or in several places."""
    try:
        spec: Any = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # ValueError: a module that a program has made
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations is not None:
        # A directory may be on the path twice: as the flow file's own, and in PYTHONPATH.
        found = {os.path.realpath(each): Path(each) for each in spec.submodule_search_locations}
        path = next(iter(found.values())) if len(found) == 1 else None
    else:
        path = Path(spec.origin) if spec.has_location else None
    return path if path is not None and path.exists() else None


def _is_beside(path: Path | None, sources: CodeSources) -> bool:
    return path is not None and os.path.realpath(path.parent) == os.path.realpath(sources.root)


def _is_installed(path: Path) -> bool:
    """True for a library that an installer put there, also with ``pip install --target``."""
    folder = path.parent.resolve()
    return not _INSTALLED.isdisjoint(folder.parts) or any(folder.glob("*.dist-info"))


def _may_provide(packages: Collection[str], names: Collection[str]) -> bool:
    """True if one of the packages may have a module.

    Args:
        packages: names of the packages.
        names: of the module, and of what installed it here, as for an editable install.
    """
    known = [_plain(each) for each in packages]
    return any(
        name == each or (len(name) >= _SHORT and name in each)
        for name in map(_plain, names)
        for each in known
    )


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "", name.rpartition("::")[2].partition("[")[0]).lower()
