"""The demo, on the tests' channel: what a newcomer sees first."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
LINE_OF_TASK = re.compile(r"    (\S+) +(\w+) +\d+\.\d s")


@pytest.fixture
def checkout(tmp_path) -> Path:
    """The files of a checkout that the demo needs, so that no run of a test leaves anything in the real one."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("dags", "demo"):
        subprocess.run(["cp", "-r", str(ROOT / name), str(folder)], check=True)
    return folder


@pytest.mark.timeout(400)
def test_the_demo_ends_with_ten_commands_that_work(checkout, channel, tmp_path):
    """Airflow's part is one line a task, its log is a file, and each command of the last ten lines does run."""
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "USER": "newcomer", "LANG": "C.UTF-8"}

    def shell(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", text],
            cwd=checkout,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=280,
            check=False,
        )

    done = shell(f"demo/run {BIN} .cache/demo {channel.url}")
    assert done.returncode == 0, done.stdout
    printed, _, advice = done.stdout.partition("What to do next:")
    _, _, airflows = printed.partition("airflow dags test linear_flow")
    assert LINE_OF_TASK.findall(airflows) == [
        (task, "success") for task in ("prepare", "start", "hello", "end")
    ], airflows
    assert len(airflows.splitlines()) < 12, airflows  # no log of Airflow's between them
    log = (checkout / ".cache/demo/airflow.log").read_text()
    assert "Hello, world!" in log
    commands = advice.split("\n")[1:-1]
    assert len(commands) == 10, advice
    settings, *others = (re.sub(r"\s+# .*", "", command) for command in commands)
    tried = [command for command in others if command.startswith(("python ", "cp "))]
    assert len(tried) == 6
    after = shell("; ".join(["set -e", settings, *tried, "which airflow"]))
    assert after.returncode == 0, after.stdout
    assert "Hi, world!" in after.stdout
    assert "Fit with scikit-learn 1.4.2." in after.stdout
    assert str(BIN / "airflow") in after.stdout


def test_a_dag_run_that_fails_ends_the_demo_with_the_end_of_the_log(checkout, database, tmp_path):
    """The last lines of Airflow's log are shown, the tasks say which failed, and the exit code is 1."""
    dags = tmp_path / "dags"
    dags.mkdir()
    text = (checkout / "dags/linear_flow.py").read_text()
    text = text.replace("print(self.message)", 'raise ValueError("on purpose")')
    text = text.replace("schedule=None", 'schedule=None, environment="local"')
    (dags / "linear_flow.py").write_text(text)
    home = tmp_path / "airflow"
    home.mkdir()
    (home / "airflow.db").write_bytes(database.read_bytes())
    done = subprocess.run(
        [sys.executable, checkout / "demo/dag_run.py", "linear_flow", tmp_path / "airflow.log"],
        env={
            "PATH": f"{BIN}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        },
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert dict(LINE_OF_TASK.findall(done.stdout))["hello"] == "failed"
    assert "The last lines of" in done.stdout
