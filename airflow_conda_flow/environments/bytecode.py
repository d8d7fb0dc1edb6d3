"""Compiles the modules of a prefix, for prefixes that many machines start from or nobody may write to."""

from __future__ import annotations

import subprocess
from pathlib import Path

_SECONDS = 300


def compile_modules(prefix: Path) -> bool:
    """True if every module of the prefix has bytecode now; a prefix works without it as well.

    A prefix that its steps may write to needs this not: Python keeps what it compiles at the first
    import. Compiling all that nobody may import costs more there than it saves.
    """
    python, library = str(prefix / "bin" / "python"), str(prefix / "lib")
    command = [python, "-I", "-m", "compileall", "-q", "-q", "-j", "2", library]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
