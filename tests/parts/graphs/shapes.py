"""Every shape of a graph: the flow files of ``flows/``, and the parameters to run each with.

Each flow checks its own values; whoever runs it compares what its tasks leave behind, by hash.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

FLOWS = Path(__file__).parent / "flows"

Shape = tuple[str, dict[str, Any]]
"""The name of a flow file, which is its DAG's id too, and the parameters of a run."""

SHAPES: list[Shape] = [
    ("one_step", {}),
    ("named_ends", {}),
    ("branches", {}),
    ("deep_foreach", {}),
    ("foreach_in_branch", {}),
    ("switch", {"way": "none"}),
    ("switch", {"way": "short"}),
    ("switch", {"way": "long"}),
    ("switch_nested", {"number": 20}),
    ("switch_nested", {"number": 2}),
    ("switch_nested", {"number": 3}),
    ("switch_nested", {"number": 1}),
    ("switch_in_branch", {}),
    ("switch_in_foreach", {}),
    ("foreach_in_switch", {"way": "one"}),
    ("foreach_in_switch", {"way": "many"}),
    ("foreach_in_switch", {"way": "both"}),
    ("foreach_in_switch_in_foreach", {}),
    ("loop", {}),
    ("loop_in_foreach", {}),
    ("inherited", {"word": "word"}),
    ("merging", {}),
    ("unusual_source", {}),
]

ONE_OF_EACH = list({name: (name, parameters) for name, parameters in SHAPES}.values())
"""Every flow once, with the last of its parameters above."""

_PODS = ("branches", "loop_in_foreach", "merging", "switch_in_foreach")
_JOBS = ("foreach_in_switch", "inherited", "loop", "switch_in_branch", "unusual_source")
ON_PODS = [shape for shape in ONE_OF_EACH if shape[0] in _PODS]
ON_JOBS = [shape for shape in ONE_OF_EACH if shape[0] in _JOBS]
"""Flows in containers of one of the two computes. They have each kind of transition; a task is a container, which
costs seconds."""


def shape_name(shape: Shape) -> str:
    """The id of a shape's test."""
    name, parameters = shape
    return "-".join([name, *map(str, parameters.values())])


def flow_name(name: str) -> str:
    """The class in a flow file."""
    return "".join(part.capitalize() for part in name.split("_"))
