"""Finds in a class body the steps and parameters that Python silently loses.

Of a name that is defined twice it keeps the last, and a decorator above ``@step`` may return something else.
"""

import ast
import sys
from types import FunctionType

from airflow_conda_flow.flow.decorators.step import is_step, step
from airflow_conda_flow.flow.parameters.parameters import Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def twice_written(owner: "Any", definition: "Any") -> "Iterator[tuple[str, int]]":
    """Yield (message, line) for every step and parameter that the body of a class defines twice.

    Args:
        owner: the class.
        definition: its syntax tree.
    """
    ours = {name for name, member in vars(owner).items() if isinstance(member, Parameter) or is_step(member)}
    lines: "dict[str, int]" = {}
    steps: "set[str]" = set()
    for statement in definition.body:
        for name in _names_bound(statement):
            if name in lines and (name in ours or name in steps):
                yield (
                    "%r is defined twice in %s (also in line %d); the second one hides the first. "
                    "Rename or remove one." % (name, owner.__name__, lines[name]),
                    statement.lineno,
                )
            lines[name] = statement.lineno
            if _is_written_as_step(statement):
                steps.add(name)


def lost_steps(owner: "Any", definition: "Any") -> "Iterator[tuple[str, int]]":
    """Yield (message, line) for every method with ``@step`` that is no longer a step in the class.

    Args:
        owner: the class.
        definition: its syntax tree.
    """
    if getattr(sys.modules.get(owner.__module__), "step", None) is not step:
        return
    for statement in definition.body:
        member = vars(owner).get(getattr(statement, "name", ""))
        if member is None or is_step(member) or not _is_written_as_step(statement):
            continue
        what, fix = "a %s" % type(member).__name__, "A step is a plain method."
        if isinstance(member, FunctionType):
            what = "another function"
            fix = "Write functools.wraps in that decorator, or make it a @user_step_decorator."
        yield (
            "%r has @step, but a decorator above it makes it %s. %s" % (statement.name, what, fix),
            statement.decorator_list[0].lineno,
        )


def _names_bound(statement: "Any") -> "list[str]":
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        return [target.id for target in statement.targets if isinstance(target, ast.Name)]
    if isinstance(statement, ast.AnnAssign) and statement.value and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    return []


def _is_written_as_step(statement: "Any") -> bool:
    decorators = getattr(statement, "decorator_list", [])
    names = [each.func if isinstance(each, ast.Call) else each for each in decorators]
    return any(getattr(each, "id", getattr(each, "attr", None)) == "step" for each in names)
