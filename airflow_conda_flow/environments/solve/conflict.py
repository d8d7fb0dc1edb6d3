"""Cuts the solver's tree of a conflict to the two or three statements that cannot hold together.

A tree has a line for every version that was tried: thousands with conda-forge. Its lines alternate between a
requirement and the packages that would meet it::

    └─ app * cannot be installed because there are no viable options:
       └─ app 1.0 would require
          └─ numpy <1.23, for which no candidates were found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_MOST = 3  # statements
_INDENT = re.compile(r"^((?:│  |   |├─ |└─ )*)(.*)$")
_LEVEL = 3  # characters for each level of the tree
_PACKAGE = re.compile(r"(.+) would (require|constrain)$")
_REQUIREMENT = re.compile(
    r"(.+?)(, (?:for )?which .*| can(?:not)? be installed .*| is excluded .*|\.?)$", re.DOTALL
)
_END = re.compile(r"conflicts with|no candidates were found|is excluded|is locked")


class _Edge(NamedTuple):
    """One package of the tree and one of its requirements.

    Attributes:
        parent: name and versions of the package.
        verb: ``needs`` or ``allows only``.
        needed: the requirement.
        above: the edge by which the package is needed itself; None if the spec asks for it.
    """

    parent: str
    verb: str
    needed: str
    above: _Edge | None


def conflict_statements(tree: str, asked: Mapping[str, str], declared: Mapping[str, str]) -> tuple[str, ...]:
    """The statements that cannot hold together, three at most; empty for a tree of another form.

    Args:
        tree: the solver's reason.
        asked: versions of the spec by package.
        declared: versions of virtual packages by name.

    >>> tree = chr(10).join([
    ...     "b cannot be installed because there are no viable options:",
    ...     "└─ b 1.0 would require",
    ...     "   └─ python >=3.9, for which no candidates were found.",
    ... ])
    >>> conflict_statements(tree, {"b": "", "python": "3.8.1"}, {})
    ('b 1.0 needs python >=3.9', 'python 3.8.1 is asked for')
    """
    edges: list[_Edge] = []
    ends: dict[str, bool] = {}  # packages that the search failed at: whether there was none at all
    for edge, text in _walk(tree):
        if edge is not None and edge not in edges:
            edges.append(edge)
        if _END.search(text):
            name = _name(_REQUIREMENT.sub(r"\1", text))
            ends[name] = "no candidates" in text
    statements: dict[str, None] = {}
    # The last conflict is the one that the search gave up at.
    for name in reversed(ends):
        if len(statements) > 1:
            break
        statements.update(_about(name, edges, asked, declared, missing=ends[name]))
    return tuple(statements)[:_MOST]


def _about(
    name: str,
    edges: list[_Edge],
    asked: Mapping[str, str],
    declared: Mapping[str, str],
    *,
    missing: bool,
) -> dict[str, None]:
    """Statements about one package: who needs what of it, and what the spec says."""
    of_parent: dict[str, _Edge] = {}
    for edge in edges:
        if _name(edge.needed) == name:
            of_parent.setdefault(_name(edge.parent), edge)
    found = list(of_parent.values())[:2]
    statements = dict.fromkeys(f"{each.parent} {each.verb} {each.needed}" for each in found)
    if name in asked:
        if asked[name]:
            statements[f"{name} {asked[name]} is asked for"] = None
    elif name in declared:
        statements[f"{name} {declared[name]} is declared"] = None
    elif name.startswith("__"):
        statements[f"no {name} is declared"] = None
    elif missing and len(found) == 1:
        statements[f"there is no such {name}"] = None
    for each in found:
        above = each.above
        if above is not None and _name(each.parent) not in asked:
            statements[f"{above.parent} {above.verb} {above.needed}"] = None
    return statements


def _walk(tree: str) -> Iterator[tuple[_Edge | None, str]]:
    """Lines of the tree without their indentation, each with the edge that leads to it."""
    path: list[tuple[int, str]] = []
    edges: dict[int, _Edge] = {}  # by depth of the requirement
    for line in tree.splitlines():
        match = _INDENT.match(line)
        assert match is not None  # noqa: S101 - it matches every text
        depth, text = len(match.group(1)) // _LEVEL, match.group(2)
        while path and path[-1][0] >= depth:
            path.pop()
        edges = {at: edge for at, edge in edges.items() if at < depth}
        package = _PACKAGE.match(path[-1][1]) if path else None
        if package is not None:
            above = edges[max(edges)] if edges else None
            verb = "needs" if package.group(2) == "require" else "allows only"
            edges[depth] = _Edge(package.group(1), verb, _REQUIREMENT.sub(r"\1", text), above)
        path.append((depth, text))
        yield edges.get(depth), text


def _name(requirement: str) -> str:
    return re.split(r"[\s<>=!~]", requirement.rpartition("::")[2].strip(), maxsplit=1)[0]
