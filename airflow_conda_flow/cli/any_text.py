"""Lets commands print texts that the terminal's encoding lacks, such as names of files that are not UTF-8."""

from __future__ import annotations

import io
import sys


def print_any_text() -> None:
    """Let standard output show what it cannot encode with backslashes, as standard error does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
