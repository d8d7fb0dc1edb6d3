"""A scope for fixtures that pytest does not have: a folder of tests that is no package.

What a fixture of the session holds lives on until its worker has run all tests. A running Airflow costs gigabytes and
processor time until then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

_Held = TypeVar("_Held")
_open: dict[Path, list[contextlib.ExitStack]] = {}


@contextlib.contextmanager
def until_the_folder_ends(
    conftest: str, context: contextlib.AbstractContextManager[_Held]
) -> Iterator[_Held]:
    """Enter a context in a fixture of the session; it ends with the last test of its folder, if not before.

    Args:
        conftest: the ``__file__`` of the fixture, which says which folder.
        context: what is held.
    """
    with contextlib.ExitStack() as stack:
        _open.setdefault(Path(conftest).parent, []).append(stack)
        yield stack.enter_context(context)


def end_folders(nextitem: pytest.Item | None) -> None:
    """End what is held for folders that the next test is not in."""
    for folder in list(_open):
        if nextitem is None or folder not in nextitem.path.parents:
            for stack in _open.pop(folder):
                stack.close()
