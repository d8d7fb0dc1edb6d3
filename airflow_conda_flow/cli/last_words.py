"""The end of a command: its last message, and output that may no longer reach anybody."""

from __future__ import annotations

import contextlib
import os
import sys

from airflow_conda_flow.runner.machine_refusal import lost_output_line


def say_last(text: str) -> None:
    """Print a message to standard error, below the output, if it can be written."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def written_out(code: int) -> int:
    """Write out what is left of the output, and return the exit code: not 0 if some of it is lost.

    A reader that left, as ``| head`` does, has lost nothing. A stream that cannot be written leads nowhere
    afterwards: Python would try again at its end, and print a traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            _give_up(stream.fileno())
        except ValueError:  # closed
            continue
        except OSError as error:
            _give_up(stream.fileno())
            if stream is sys.stdout:
                say_last(lost_output_line(error))
            code = code or 1
    return code


def _give_up(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
