"""Texts that a terminal cannot show."""

from __future__ import annotations

import io
import sys

import pytest

from airflow_conda_flow.cli.any_text import print_any_text


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", "é\\udc80\n"), ("ascii", "\\xe9\\udc80\n")])
def test_what_the_terminal_lacks_has_backslashes(monkeypatch, encoding, shown):
    """Half a surrogate pair on any terminal, and more on one that has few letters."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding, write_through=True))
    print_any_text()
    print("é\udc80")
    assert written.getvalue().decode(encoding) == shown
