"""Every number that somebody chose says why, where it stands."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import airflow_conda_flow

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(airflow_conda_flow.__file__).parent
ASSIGNS = re.compile(r"_?[A-Z][A-Z0-9_]*( *:[^=]+)? *=")


def unexplained(source: str) -> Iterator[str]:
    """Constants with a number in them that have no comment beside or above them, and no docstring below.

    A comment above a block of constants counts for all of them.
    """
    lines, body = source.splitlines(), ast.parse(source).body
    for node, following in zip(body, [*body[1:], None], strict=False):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if not isinstance(target, ast.Name) or not target.id.isupper() or not _has_number(node):
            continue
        above = node.lineno - 2
        while above > 0 and ASSIGNS.match(lines[above]):
            above -= 1
        is_documented = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        beside = lines[node.lineno - 1 : node.end_lineno]
        if not is_documented and not any("#" in line for line in [lines[above], *beside]):
            yield target.id


def _has_number(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    if value is None or isinstance(value, (ast.Call, ast.Dict)):
        return False
    numbers = (each.value for each in ast.walk(value) if isinstance(each, ast.Constant))
    return any(isinstance(each, (int, float)) and not isinstance(each, bool) for each in numbers)


def test_numbers_have_reasons():
    """A newcomer need not ask where ten seconds come from."""
    found = {
        str(path.relative_to(PACKAGE)): names
        for path in sorted(PACKAGE.rglob("*.py"))
        if (names := list(unexplained(path.read_text(encoding="utf-8"))))
    }
    assert found == {}


def test_what_counts_as_a_reason():
    """A comment beside, one above a block, or a docstring; a comment elsewhere does not."""
    source = (
        "# of all\nA = 1\nB = 2\n\nC = 3  # of one\nD = 4\n"
        '"""Of one."""\n\nE: int = 5\nF = (6,\n  7)\nG = "8"\nH = True\n# of I\nI = 9\n'
    )
    assert list(unexplained(source)) == ["E", "F"]
