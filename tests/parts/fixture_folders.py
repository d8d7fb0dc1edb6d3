"""Folders of fixtures that go when the fixture ends.

pytest keeps what ``tmp_path_factory`` made until a worker has run all of its tests. Together that fills the memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_made: list[list[Path]] = []
"""Folders that each fixture has made that is being set up, the innermost last."""


@contextmanager
def removing_folders(fixture: Any) -> Iterator[None]:
    """Set up a fixture, pytest's ``FixtureDef``, in the block; the folders that it makes go when it ends."""
    if fixture.scope == "function":  # its folders stay if the test fails
        yield
        return
    folders: list[Path] = []

    def remove() -> None:
        for each in folders:
            shutil.rmtree(each, ignore_errors=True)

    fixture.addfinalizer(remove)  # the last to run: finalizers run in reverse order
    _made.append(folders)
    try:
        yield
    finally:
        _made.pop()


def note_folders() -> None:
    """Let every ``tmp_path_factory`` note for which fixture it makes a folder."""
    make = pytest.TempPathFactory.mktemp

    def noted(self: pytest.TempPathFactory, basename: str, numbered: bool = True) -> Path:
        folder = make(self, basename, numbered)
        if _made:
            _made[-1].append(folder)
        return folder

    pytest.TempPathFactory.mktemp = noted
