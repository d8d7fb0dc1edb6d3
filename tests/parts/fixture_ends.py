"""Earlier ends for what fixtures hold: pytest keeps some of it until a worker has run all of its tests.

Together that fills the memory: a running Airflow takes a gigabyte, and so do the folders of all files of tests.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_of_folders: list[tuple[Any, pytest.FixtureRequest]] = []
"""Fixtures of the session that belong to one folder or file of tests, and hold something now."""
_made: list[list[Path]] = []
"""Folders that each fixture has made that is being set up, the innermost last."""


@contextmanager
def ending_in_time(fixture: Any, request: pytest.FixtureRequest) -> Iterator[None]:
    """Set up a fixture in the block; it ends with the last test that can use it, and its folders with it.

    Args:
        fixture: pytest's ``FixtureDef``.
        request: with which it is set up.
    """
    if fixture.scope == "function":
        yield
        return
    if fixture.scope == "session" and fixture.baseid:
        _of_folders.append((fixture, request))
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


def end_fixtures(nextitem: pytest.Item | None) -> None:
    """End the fixtures of the session that the next test, being elsewhere, cannot use; later tests make them anew."""
    for each in reversed(_of_folders.copy()):
        fixture, request = each
        if nextitem is None or not nextitem.nodeid.startswith((f"{fixture.baseid}/", f"{fixture.baseid}::")):
            _of_folders.remove(each)
            fixture.finish(request)
