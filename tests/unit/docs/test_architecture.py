"""docs/architecture.md: its tables of documents and messages are those of ``records/shapes.py``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import is_typeddict

import pytest

from airflow_conda_flow.records import shapes

PAGE = Path(__file__).parents[3] / "docs" / "architecture.md"
SHAPES = {
    name: shape
    for name, shape in vars(shapes).items()
    if is_typeddict(shape) and not name.startswith("_") and shape.__module__ == shapes.__name__
}


def described() -> dict[str, set[str]]:
    """The keys that the page gives each shape.

    A shape has a table of its own, of the keys in the first column, below a paragraph that begins with its
    name; or a row of a table, with its keys in the second or third column.
    """
    found: dict[str, set[str]] = {}
    current = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if opening := re.match(r"`(\w+)`, ", line):
            current = opening[1]
        elif line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            name = cells[0].strip("` ")
            if name in SHAPES:
                keys = cells[2] if cells[1] in {"runner", "step"} else cells[1]
                found[name] = set(re.findall(r"`(\w+)`", keys)) - SHAPES.keys()
            elif current in SHAPES:
                found.setdefault(current, set()).update(re.findall(r"`(\w+)`", cells[0]))
        elif line.startswith(("#", "Parts")):
            current = ""
    return found


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_a_shape_has_its_keys_on_the_page(name):
    """No key is missing there, and none is invented."""
    keys = set(SHAPES[name].__annotations__)
    if name == "TaggedRunDocument":
        keys -= set(shapes.RunManifest.__annotations__)
    assert described().get(name) == keys


def test_the_page_invents_no_shape():
    """Every message of the page is one of the types, whose names end so."""
    named = set(re.findall(r"^\| `(\w+(?:Message|Document|Ref|Record))`", PAGE.read_text(), re.MULTILINE))
    assert named
    assert named <= SHAPES.keys()
