"""Ends a program when the process that started it is gone, for whatever reason; run as a script.

The starter holds the writing end of a pipe. Its end, even by SIGKILL, closes the pipe. Then the program is
ended with all that it has started, and its folder, which may hold credentials, is deleted. A starter that has
seen the program end kills this process.

Standard library only. Usage: ``ending.py DESCRIPTOR GROUP FOLDER``, FOLDER being empty if there is none.
"""

import contextlib
import os
import shutil
import signal
import sys


def main(descriptor: int, group: int, folder: str) -> None:
    """Wait for the end of the pipe, then end the process group and delete the folder."""
    os.read(descriptor, 1)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
