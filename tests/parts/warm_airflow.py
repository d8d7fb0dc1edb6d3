"""A process that has imported Airflow, in whose forks tests run programs: a second instead of fifteen."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

SERVER = Path(__file__).with_name("warm_airflow_server.py")
COMMAND = "from airflow.__main__ import main\nmain()"
"""The program of the command ``airflow``."""
# Read when they are needed, and not when Airflow is imported.
_READ_LATER = frozenset(
    [
        "AIRFLOW__CORE__DAGS_FOLDER",
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW__CORE__LOAD_EXAMPLES",
        "AIRFLOW__CORE__MAX_MAP_LENGTH",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL",
    ]
)
_READ_LATER_PREFIXES = ("AIRFLOW_CONN_", "AIRFLOW_VAR_", "AIRFLOW__CONDA_FLOW__")


def can_be_warm(environ: Mapping[str, str], home: Path) -> bool:
    """Whether a program finds Airflow in the server's fork as it would find it in a process of its own.

    Args:
        environ: its environment variables.
        home: its working directory, in which ``airflow`` is AIRFLOW_HOME.
    """
    folder = home / "airflow"
    if (
        environ.get("AIRFLOW_HOME") != str(folder)
        or (folder / "config").exists()
        or (folder / "plugins").exists()
    ):
        return False
    own = [name for name in environ if name.startswith(("AIRFLOW_", "PYTHON", "_AIRFLOW_"))]
    known = {*_READ_LATER, "AIRFLOW_HOME", "PYTHONPATH"}
    return all(name in known or name.startswith(_READ_LATER_PREFIXES) for name in own)


def run_warm(
    interpreter: Path,
    program: str,
    words: Sequence[str],
    environ: Mapping[str, str],
    home: Path,
    seconds: float,
    *,
    stderr: int = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, as ``subprocess.run`` does.

    Args:
        interpreter: the one that has Airflow.
        program: Python code.
        words: ``sys.argv``.
        environ: its environment variables.
        home: its working directory.
        seconds: how long it may take.
        stderr: ``subprocess.STDOUT`` to have both streams in ``stdout``.
    """
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.NamedTemporaryFile("r")) for _ in range(2)]
        stdout, other = files[0], files[0] if stderr == subprocess.STDOUT else files[1]
        link = stack.enter_context(socket.socket(socket.AF_UNIX))
        link.settimeout(seconds)
        link.connect(_server(interpreter))
        request = {
            "program": program,
            "words": list(words),
            "environ": dict(environ),
            "folder": str(home),
            "stdout": stdout.name,
            "stderr": other.name,
        }
        link.sendall(json.dumps(request).encode() + b"\n")
        with link.makefile("r") as reader:
            group = int(reader.readline())
            try:
                code = int(reader.readline())
            except TimeoutError:
                os.killpg(group, signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(words), seconds, stdout.read(), other.read()) from None
        return subprocess.CompletedProcess(list(words), code, stdout.read(), files[1].read())


@functools.cache
def _server(interpreter: Path) -> str:
    """The socket of this process's server of an interpreter, which is started now."""
    folder = Path(tempfile.mkdtemp(prefix="warm-airflow-"))
    path = folder / "socket"
    environ = {
        name: text for name, text in os.environ.items() if not name.startswith(("AIRFLOW_", "CONDA_FLOW_"))
    }
    environ.update(
        HOME=str(folder),
        AIRFLOW_HOME="/proc/self/cwd/airflow",
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        NO_COLOR="1",
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [interpreter, "-W", "ignore", str(SERVER), str(path)],
            env=environ,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    atexit.register(_end, process, folder)
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return str(path)


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    process.stdin.close()
    process.wait(20)
    shutil.rmtree(folder, ignore_errors=True)
