"""Lets commands print any text, such as names of files that are not UTF-8, and also where nobody reads it."""

from __future__ import annotations

import io
import os
import sys


def print_any_text() -> None:
    """Let standard output show what it cannot encode with backslashes, as standard error does.

    A stream that was closed by whoever started the program, as some daemons do, takes everything.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - until the end
