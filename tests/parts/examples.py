"""Runs the examples in docstrings."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Iterable
from pathlib import Path

import airflow_conda_flow

PACKAGE = Path(airflow_conda_flow.__file__).parent


def failed_examples(paths: Iterable[Path]) -> dict[str, int]:
    """How many examples fail, by module; modules without examples are left out.

    Args:
        paths: modules of the package.
    """
    found = {}
    for path in sorted(paths):
        if ">>> " in path.read_text(encoding="utf-8"):
            name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
            found[name] = doctest.testmod(importlib.import_module(name)).failed
    return found
