"""Fork server: an interpreter that has read this package, and that forks a step process for each task.

Most of a short step is the start of its interpreter and the import of this package. A runner with many tasks
for one interpreter pays for them once (``runner/fork_servers.py``). No code of a user is
read before a fork.

The server holds one end of a socket, and the runner sends it a request for each task: the mark of the task's
processes, with five descriptors. They are its standard output and error, the two that ``main.py`` takes, and
a pipe for the process's id and, when it has ended, its return code, a line each. The server ends when the
other end of the socket is closed and all its processes have ended.
"""

import gc
import os
import select
import signal
import socket
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

READY = b"ready"
"""Sent to the runner when requests can be answered. A server that cannot answer them ends without it."""
_REQUEST = 256  # bytes; a mark is a fourth of it
_DESCRIPTORS = 5  # that come with a request
_OWN = ("_socket", "array", "math", "select", "selectors", "socket")
"""Modules that a server needs and a step process does not: a module of the user's may have the same name."""


def serve(control: int, mark: str, before: "frozenset[str]") -> "list[int] | None":
    """Fork a process for each request.

    Args:
        control: descriptor of the server's end of the socket.
        mark: environment variable by which the runner finds the processes of this server.
        before: the modules that were imported before this one.

    Returns:
        in each forked process, the descriptors that ``main.py`` takes; in the server, None at its end.
    """
    _import()
    address = _address(mark)
    if address is None or _threads() != 1:  # a thread that a module has started would be missing after a fork
        return None
    if hasattr(gc, "freeze"):  # since Python 3.7: the collector then leaves the shared memory alone
        gc.freeze()
    descriptors = _Server(socket.socket(fileno=control), mark, address).serve()
    if descriptors is not None:
        for each in set(_OWN) - before:
            sys.modules.pop(each, None)
    return descriptors


def _import() -> None:
    """Import what each step process needs; the package itself, with the language, is imported by now."""
    import faulthandler  # noqa: F401, PLC0415 - for the processes

    from airflow_conda_flow.runtime import (  # noqa: F401, PLC0415 - for the processes
        lifeline,
        overlay,
        protocol,
        stored_code,
        task,
        termination,
    )


class _Server:
    """The server's state; see the module.

    Args:
        control: its end of the socket.
        mark: the name of the variable that is to be renamed in each process.
        address: where this name is in the memory of the process.
    """

    def __init__(self, control: socket.socket, mark: str, address: int) -> None:
        self._control = control
        self._mark = mark
        self._address = address
        self._running: "dict[int, int]" = {}  # descriptor for the return code, by process
        # A process that ends makes the signal's handler write here, which wakes up ``poll``.
        self._awake, self._wake = os.pipe()
        for each in (self._awake, self._wake):
            os.set_blocking(each, False)
        signal.signal(signal.SIGCHLD, _nothing)
        signal.set_wakeup_fd(self._wake)

    def serve(self) -> "list[int] | None":
        self._control.sendall(READY)
        poll = select.poll()
        poll.register(self._awake, select.POLLIN)
        poll.register(self._control, select.POLLIN)
        is_open = True
        while is_open or self._running:
            asked = self._control.fileno() in [descriptor for descriptor, _ in poll.poll()]
            self._reap()
            if not asked:
                continue
            mark, descriptors = self._receive()
            if not mark:
                is_open = False
                poll.unregister(self._control)
                continue
            forked = self._fork(mark, descriptors)
            if forked is not None:
                return forked
        return None

    def _receive(self) -> "tuple[bytes, list[int]]":
        """A request: its mark, empty if the runner has closed the socket, and its descriptors."""
        space = socket.CMSG_LEN(_DESCRIPTORS * struct.calcsize("i"))
        mark, ancillary, _, _ = self._control.recvmsg(_REQUEST, space)
        found: "list[int]" = []
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                found += struct.unpack("%di" % (len(data) // struct.calcsize("i")), data)
        return mark, found

    def _fork(self, mark: bytes, descriptors: "list[int]") -> "list[int] | None":
        """Fork a process; returns what ``serve`` returns in it, and None here."""
        status = descriptors[-1]
        try:
            pid = os.fork()
        except OSError:
            pid = -1  # the runner tries to start one itself, and tells why it cannot
        if pid == 0:
            return self._begin(mark, descriptors)
        for each in descriptors[:-1]:
            os.close(each)
        if pid == -1:
            os.close(status)
        else:
            self._running[pid] = status
        return None

    def _begin(self, mark: bytes, descriptors: "list[int]") -> "list[int]":
        """Make the forked process one that could have been started as a program."""
        if hasattr(gc, "unfreeze"):
            # Or the last collection would leave alone what frozen objects refer to: the flow's module, and so
            # the files that it has open. They would lose what has not been written yet.
            gc.unfreeze()
        if sys.version_info < (3, 7) and "random" in sys.modules:
            sys.modules["random"].seed()  # as later versions do themselves after a fork
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._control.close()
        for each in [self._awake, self._wake] + list(self._running.values()):
            os.close(each)
        output, error, link, life_line, status = descriptors
        for received, standard in ((output, 1), (error, 2)):
            os.dup2(received, standard)
            os.close(received)
        os.setsid()  # a process group of its own, as ``subprocess`` would make
        _write_memory(self._address, mark)
        del os.environ[self._mark]
        os.environ[mark.decode("ascii")] = "1"
        os.write(status, b"%d\n" % os.getpid())
        os.close(status)
        return [link, life_line]

    def _reap(self) -> None:
        """Tell the return codes of the processes that have ended."""
        try:
            while os.read(self._awake, 4096):
                pass
        except BlockingIOError:
            pass
        for pid, descriptor in list(self._running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            try:
                os.write(descriptor, b"%d\n" % code)
            except BrokenPipeError:
                pass  # the runner has given it up
            os.close(descriptor)
            del self._running[pid]


def _nothing(_number: int, _frame: "Any") -> None:
    """A handler, without which a signal wakes nobody up."""


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


# The runner finds the processes that a step leaves behind by an environment variable, in /proc/PID/environ
# (runner/left_processes.py). This shows the memory that the variables had at the start of the program, and
# setting a variable does not change it: each forked process renames its mark there.


def _address(mark: str) -> "int | None":
    """Where the name of a variable is in the memory of this process; None if it cannot be changed there."""
    name = mark.encode("ascii")
    try:
        with open("/proc/self/stat", "rb") as file:
            # After the name of the program, which is in brackets and may hold any character; proc(5)
            # numbers the fields from 1, and the first one here is the third.
            fields = file.read().rpartition(b")")[2].split()
        start, end = int(fields[47]), int(fields[48])
        with open("/proc/self/mem", "rb", 0) as memory:
            memory.seek(start)
            place = (b"\0" + memory.read(end - start)).find(b"\0" + name + b"=")
        if place < 0:
            return None
        changed = name[::-1]
        _write_memory(start + place, changed)
        with open("/proc/self/environ", "rb") as file:
            is_changed = changed in file.read()
        _write_memory(start + place, name)
    except (OSError, ValueError, IndexError, OverflowError):
        return None
    return start + place if is_changed else None


def _write_memory(address: int, data: bytes) -> None:
    with open("/proc/self/mem", "r+b", 0) as memory:
        memory.seek(address)
        memory.write(data)
