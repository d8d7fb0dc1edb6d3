"""Ends the step process and its children when the runner is gone, however it went.

The runner holds the writing end of a pipe. When that closes, the kernel signals the process group
(``F_SETOWN`` and ``F_SETSIG``, see fcntl(2)); no thread is needed, so that a step may still fork.
Where the kernel cannot do that, a thread waits for the end of the pipe.

A child that starts a session of its own leaves the group, and is not ended.
"""

import fcntl
import os
import signal


def hold(descriptor: int) -> None:
    """Tie the life of this process group to the other end of a pipe.

    Args:
        descriptor: the reading end; the writing end is with the runner alone.
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
    except OSError:  # sandboxed kernels have the names alone
        return False
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    _end_if_closed(descriptor)
    return True


def _end_if_closed(descriptor: int) -> None:
    """The other end may have closed before the signal was asked for."""
    try:
        if os.read(descriptor, 1) == b"":
            os.killpg(0, signal.SIGKILL)
    except BlockingIOError:
        pass


def _watch(descriptor: int) -> None:
    import threading  # noqa: PLC0415 - only where the kernel cannot do it

    def wait() -> None:
        os.read(descriptor, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()
