"""Compiles the modules of a prefix, for prefixes that many machines use or that steps cannot write to."""

from __future__ import annotations

import subprocess
from pathlib import Path

# Far longer than any environment needs. Without a limit one module that the compiler hangs on would stop the
# run; with this one the prefix is used as it is.
_SECONDS = 300


def compile_modules(prefix: Path) -> bool:
    """Compile all modules of a prefix; True if that succeeded. The prefix also works without bytecode.

    A prefix that steps can write to does not need this: Python stores the bytecode of a module at its first
    import, and compiling modules that are never imported would cost more than it saves.
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
