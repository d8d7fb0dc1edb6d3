"""A channel that is served until somebody asks for its end."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from ...parts.signals import start


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_is_asked_to_end_has_done_its_work(tmp_path, number):
    """It says so, with exit code 0, as that of cards does."""
    words = ["-m", "airflow_conda_flow.cli.tool", "channel", "serve", str(tmp_path), "--port", "0"]
    with start(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            assert server.stdout.readline().startswith(f"Serving {tmp_path} at http://127.0.0.1:")
            server.send_signal(number)
            assert server.communicate(timeout=60)[0] == "Stopped.\n"
            assert server.returncode == 0
        finally:
            server.kill()
