"""Runs programs in forks of one process that has imported Airflow, which is most of what a command of it costs.

Started as ``python warm_airflow_server.py SOCKET``, with AIRFLOW_HOME below ``/proc/self/cwd``: a fork that changes
into a machine's home has that machine's database, logs and configuration folder. Each connection is one program, a JSON
object of ``program``, ``words``, ``environ``, ``folder``, ``stdout`` and ``stderr``. The answers are a line with the id
of the program's process group, and one with its exit code. The server ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import tempfile
import traceback

from airflow import settings
from airflow.cli import cli_parser
from airflow.sdk.execution_time import supervisor
from sqlalchemy.orm import configure_mappers

USED = (
    "a2wsgi",
    "airflow.cli.commands.dag_command",
    "airflow.dag_processing.collection",
    "airflow.providers.amazon.aws.operators.batch",
    "airflow.providers.cncf.kubernetes.operators.pod",
    "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.providers.standard.sensors.external_task",
    "airflow.utils.db",
    "alembic.command",
    "anyio._backends._asyncio",
)
"""Modules that commands of Airflow, or DAGs of flows, import when they need them. Our own are not among them."""


def serve(path: str) -> None:
    """Run the program of each connection in a fork, many at once."""
    # Before 3.3 Airflow makes an API server for each task, in over a second.
    supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)
    supervisor.in_process_api_server().app._cadwyn_initialize()  # the routes of every version of the API
    _prepare()
    gc.freeze()  # else each fork's collections visit, and so copy, what all of them share
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(path)
        listener.listen(16)
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not listener:
                    return
                link, _ = listener.accept()
                if os.fork() == 0:
                    listener.close()
                    answer(link)
                link.close()


def _prepare() -> None:
    """Import and make what forks need, a second and more for each of them."""
    for name in USED:
        importlib.import_module(name)
    configure_mappers()
    cli_parser.get_parser()
    with contextlib.suppress(ImportError):  # since 3.3
        from airflow._shared.observability.metrics.stats import _get_registry

        _get_registry()


def answer(link: socket.socket) -> None:
    """Run one program in a fork of this fork, and send its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    link.sendall(b"%d\n" % os.getpid())
    with link.makefile("rb") as reader:
        request = json.loads(reader.readline())
    pid = os.fork()
    if pid == 0:
        link.close()
        os._exit(run(**request))
    _, status = os.waitpid(pid, 0)
    link.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def run(
    program: str, words: list[str], environ: dict[str, str], folder: str, stdout: str, stderr: str
) -> int:
    """Run a program in this process as a new one would; its exit code."""
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, stdout, os.O_WRONLY | os.O_APPEND),
        (2, stderr, os.O_WRONLY | os.O_APPEND),
    ):
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.path[:0] = [each for each in environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    tempfile.tempdir = None
    settings.initialize()
    sys.argv = words
    try:
        exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            sys.stderr.write(f"{error.code}\n")
    except BaseException:  # noqa: BLE001 - as an interpreter does
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    serve(sys.argv[1])
