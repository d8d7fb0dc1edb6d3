"""Channels, indexes and solvers that never answer: one line, in bounded time."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from airflow_conda_flow.environments import download as download_room
from airflow_conda_flow.environments.credentials import Credentials
from airflow_conda_flow.environments.download import DownloadFailed, download
from airflow_conda_flow.environments.solve import patience
from airflow_conda_flow.environments.solve.executable import ExecutableSolver
from airflow_conda_flow.environments.solve.rattler import RattlerSolver
from airflow_conda_flow.environments.spec import EnvironmentSpec
from airflow_conda_flow.errors import ChannelError, SolveError


@pytest.fixture
def make_slow_server():
    """A function: the URL of a server that sends this text, then a byte each tenth of a second, or nothing."""
    ended = threading.Event()
    with contextlib.ExitStack() as stack:

        def make(text: bytes = b"", byte: bytes = b"") -> str:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def serve(connection: socket.socket) -> None:
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)  # an answer before the request is another fault
                    connection.sendall(text)
                    while not ended.wait(0.1):
                        connection.sendall(byte)

            def accept() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = listening.accept()
                        threading.Thread(target=serve, args=(connection,), daemon=True).start()

            threading.Thread(target=accept, daemon=True).start()
            return f"http://127.0.0.1:{listening.getsockname()[1]}"

        yield make
        ended.set()


@pytest.mark.parametrize("text", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhalf"])
def test_a_channel_that_never_answers(make_slow_server, monkeypatch, tmp_path, text, caplog):
    """Not at all, or no longer. The message names it, and a line has said that it is waited for."""
    monkeypatch.setattr(patience, "QUIET", 1.5)
    monkeypatch.setattr(patience, "SAY_AFTER", 0.5)
    monkeypatch.setattr(patience, "_received", lambda: 0)  # other tests use the network too
    url = make_slow_server(text)
    spec = EnvironmentSpec("3.11.7", {"six": "1.17.0"}, (url,), "linux-64")
    start = time.monotonic()
    with pytest.raises(ChannelError, match="does not answer: no answer for") as caught:
        RattlerSolver(tmp_path, Credentials({}, {})).solve({"step start": spec})
    assert time.monotonic() - start < 20
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)
    assert f"Waiting for the channel {url}" in caplog.text


def test_a_program_that_never_ends(monkeypatch, tmp_path, caplog):
    """It is ended with what it has started, although that holds its output open."""
    pid_file = tmp_path / "pid"
    program = tmp_path / "bin" / "conda"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport subprocess, time\n"
        f"child = subprocess.Popen(['sleep', '600'])\nopen({str(pid_file)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(patience, "SAY_AFTER", 0.5)
    spec = EnvironmentSpec("3.11.7", {}, ("conda-forge",), "linux-64")
    with pytest.raises(SolveError, match=r"conda .* not done after 2 s; it was ended") as caught:
        ExecutableSolver("conda", tmp_path / "repodata", Credentials(), 2.0).solve({"step start": spec})
    assert str(program) in str(caught.value)
    assert "Waiting for conda, which solves the environment of step start." in caplog.text
    pid = int(pid_file.read_text())
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _runs(pid):
        time.sleep(0.02)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        # A zombie is one that whoever is process 1 has not reaped yet.
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("text", "byte", "reason"),
    [
        (b"", b"", "timed out"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x", r"only \d+ bytes came in"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhalf", b"", "timed out"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x", "its headers did not come in "),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_001, b"x" * 65536, "more than its 1000000 bytes came"),
    ],
)
def test_a_download_that_stands_still(make_slow_server, monkeypatch, tmp_path, text, byte, reason, caplog):
    """Or that sends a byte now and then, in its headers too, or has no end."""
    monkeypatch.setattr(download_room, "_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(download_room, "_DEADLINE_SECONDS", 1.0)
    monkeypatch.setattr(download_room, "_SAY_AFTER_SECONDS", 0.2)
    url = make_slow_server(text, byte)
    start = time.monotonic()
    with pytest.raises(DownloadFailed, match=reason):
        download(f"{url}/six.conda", tmp_path / "archive", 1_000_000, lambda _size: None)
    assert time.monotonic() - start < 10
    if not text:
        assert f"Waiting for {url}/six.conda, which does not come." in caplog.text
