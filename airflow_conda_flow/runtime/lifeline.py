"""Lifeline: ends the step process and its children when the runner is gone, for whatever reason.

The runner holds the writing end of a pipe. When that end closes, the kernel signals the process group
(``F_SETOWN`` and ``F_SETSIG``, see fcntl(2)). This needs no thread, so a step may still fork. If the
kernel does not support it, a thread waits for the end of the pipe.

A child that starts its own session leaves the group. The runner ends it with the task, if it still can
(``runner/left_processes.py``).
"""

import fcntl
import os
import signal


def hold(descriptor: int) -> None:
    """Tie the life of this process group to the other end of a pipe.

    Args:
        descriptor: reading end of the pipe; only the runner holds the writing end.
    """
    os.set_inheritable(descriptor, False)
    if not _ask_kernel(descriptor):
        _watch(descriptor)


def _ask_kernel(descriptor: int) -> bool:
    if not hasattr(fcntl, "F_SETSIG"):
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, -os.getpgid(0))
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
    except OSError:  # sandboxed kernels may define the constants without supporting them
        return False
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    _end_if_closed(descriptor)
    return True


def _end_if_closed(descriptor: int) -> None:
    """Kill the group now if the other end closed before the signal was requested."""
    try:
        if os.read(descriptor, 1) == b"":
            os.killpg(0, signal.SIGKILL)
    except BlockingIOError:
        pass


def _watch(descriptor: int) -> None:
    import threading  # noqa: PLC0415 - needed only if the kernel cannot do it

    def wait() -> None:
        os.read(descriptor, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()
