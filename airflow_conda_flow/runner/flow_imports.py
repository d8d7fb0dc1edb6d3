"""Imports that the steps of a flow execute for certain, read from the sources of its code package."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import sys
import tokenize
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from airflow_conda_flow.flow.definition import FlowDefinition
from airflow_conda_flow.runner.code_sources import CodeSources
from airflow_conda_flow.runner.module_places import module_places

# After either, a step may import what no environment has. Both are for code with a statement on a line.
_CHANGES_PATH = re.compile(r"\bsys\.path\b|\baddsitedir\b")
_INSTALLS = re.compile(
    r"\b(pip[\d.]*|conda|(micro)?mamba|uv|pixi|poetry|pdm)\b.*\b(install|sync)\b|\beasy_install\b"
)
_WORDS_OF_EITHER = ("sys.path", "addsitedir", "install", "sync")
_EXITS = {"exit", "quit", "sys.exit", "os._exit", "os.abort"}


@dataclass(frozen=True)
class FlowImport:
    """A module that the flow imports.

    Attributes:
        name: its name with dots.
        place: file and line of the import.
        step: the step that imports it; empty if every step does, as the flow file is imported.
    """

    name: str
    place: tuple[str, int]
    step: str = ""


def flow_imports(definition: FlowDefinition, sources: CodeSources) -> Iterator[FlowImport]:
    """Imports that every step executes, and those of single steps.

    None if ``sys.path`` is changed, or something is installed: its steps do that too.
    """
    flow_file = [(definition.flow_class.__module__, definition.file)]
    if any(each.finds_more for each in _shipped_files(flow_file, sources, is_late=True)):
        return
    files = list(_shipped_files(flow_file, sources))
    # By their places: a class may override a step, or have the name of another one.
    steps = {(os.path.realpath(node.file), node.line): step for step, node in definition.graph.steps.items()}
    for each in files:
        yield from each.imports(each.tree.body)
        for method in each.methods():
            step = steps.get((os.path.realpath(each.path), method.lineno))
            if step is not None:
                yield from each.imports(method.body, step)
                yield from _of_modules(each.names(method.body), step, sources, files)
    for step, records in definition.user_decorators.items():
        place = (definition.graph.steps[step].file or definition.file, definition.graph.steps[step].line)
        # The step imports their modules: they may come from a mutator or from ``--with``.
        yield from (FlowImport(each["module"], place, step) for each in records if each["module"])


def _of_modules(
    names: Iterable[tuple[str, int]], step: str, sources: CodeSources, known: Collection[_File]
) -> Iterator[FlowImport]:
    """Imports of the modules that a step imports, if these come with the flow and not every step has them."""
    for name, _ in names:
        for each in _shipped_files(_shipped_modules(name, sources), sources):
            if each not in known:
                yield from each.imports(each.tree.body, step)


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
    text: str = field(compare=False)
    tree: ast.Module = field(compare=False)

    @property
    def finds_more(self) -> bool:
        """Whether it changes ``sys.path`` or installs something."""
        if not any(word in self.text for word in _WORDS_OF_EITHER):
            return False
        # Most of these words are advice, in comments, docstrings and errors.
        code = ast.unparse(_WithoutAdvice().visit(ast.parse(self.text))).replace("\\n", " ")
        return any(each.search(code) is not None for each in (_CHANGES_PATH, _INSTALLS))

    def methods(self) -> Iterator[ast.FunctionDef]:
        """Functions in the bodies of its classes."""
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef):
                yield from (each for each in node.body if isinstance(each, ast.FunctionDef))

    def names(self, body: list[ast.stmt]) -> Iterator[tuple[str, int]]:
        """Names with dots, and lines, of what statements import for certain, and not below conditions."""
        for node in body:
            yield from ((name, node.lineno) for name in self._absolute_names(node))
            if _may_leave(node):
                return

    def all_names(self) -> Iterator[str]:
        """Names with dots of what any statement may import."""
        for node in ast.walk(self.tree):
            yield from self._absolute_names(node)

    def _absolute_names(self, node: ast.AST) -> list[str]:
        """Modules that a statement may import, with dots; empty for anything else."""
        if isinstance(node, ast.Import):
            return [each.name for each in node.names]
        if not isinstance(node, ast.ImportFrom):
            return []
        base = node.module or ""
        if node.level:
            try:
                base = importlib.util.resolve_name("." * node.level + base, self._package)
            except (ImportError, TypeError, ValueError):
                return []
        return [base, *(f"{base}.{each.name}" for each in node.names)]

    @property
    def _package(self) -> str | None:
        if self.module in sys.modules:  # the program has another name than its package
            return sys.modules[self.module].__package__
        return self.module if Path(self.path).stem == "__init__" else self.module.rpartition(".")[0]

    def imports(self, body: list[ast.stmt], step: str = "") -> Iterator[FlowImport]:
        """Imports of statements, by that step alone if one is given."""
        yield from (FlowImport(name, (self.path, line), step) for name, line in self.names(body))


class _WithoutAdvice(ast.NodeTransformer):
    """Removes texts that are not used, and errors."""

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        return ast.Pass() if isinstance(node.value, ast.Constant) else node

    def visit_Raise(self, node: ast.Raise) -> ast.stmt:
        del node
        return ast.Pass()


def _may_leave(node: ast.stmt) -> bool:
    """True if the statements after this one are not reached, or only if a condition holds."""
    if isinstance(node, (ast.Return, ast.Raise, ast.Break, ast.Continue)):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in _EXITS
    if isinstance(node, ast.If) and node.orelse:
        if all(any(map(_may_leave, body)) for body in (node.body, node.orelse)):
            return True
    elif isinstance(node, (ast.With, ast.Try)) and any(map(_may_leave, node.body)):
        return True
    return _returns(node)


def _returns(node: ast.AST) -> bool:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        return False
    return isinstance(node, ast.Return) or any(map(_returns, ast.iter_child_nodes(node)))


def _shipped_files(
    first: Iterable[tuple[str, str]], sources: CodeSources, *, is_late: bool = False
) -> Iterator[_File]:
    """Sources of the code package that are imported along with some of them, and these.

    Args:
        first: names of modules and their files, such as the flow file.
        sources: what the code package is made of.
        is_late: whether sources count that functions may import later.
    """
    waiting = list(first)
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
        for name in file.all_names() if is_late else (name for name, _ in file.names(file.tree.body)):
            waiting.extend(_shipped_modules(name, sources))


def _shipped_modules(name: str, sources: CodeSources) -> Iterator[tuple[str, str]]:
    """Name and file of a module and of the packages around it, if they are in the code package."""
    parts = name.split(".")
    place = sources.modules.get(parts[0])
    if place is None:
        place = next(filter(sources.is_beside, module_places(parts[0])), None)
    if place is None:
        return
    for number in range(1, len(parts) + 1):
        path = place.joinpath(*parts[1:number])  # a package's directory may have another name than it has
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if file.is_file():
            yield ".".join(parts[:number]), os.path.abspath(file)  # noqa: PTH100 - as ``definition.file`` is made
