"""``airflow-conda-flow datastore prune`` and ``cache prune`` around real runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_conda_flow.datastore.left_behind import new_mark

from ...parts.flow_machine import Machine

FLOW = """
import os, time
class AFlow(FlowSpec):
    @step
    def start(self):
        self.x = [os.environ.get("WORD", "same")] * 1000
        self.next(self.middle)
    {conda}
    @step
    def middle(self):
        if "six" in {names}:
            import six
            print("six", six.__version__)
        self.y = self.x[:10]
        if os.environ.get("FAILS"):
            raise ValueError("boom")
        flag = os.environ.get("FLAG")
        while flag and not os.path.exists(flag):
            open(flag + ".waits", "w").close()
            time.sleep(0.05)
        import json.tool  # something that was not imported before
        self.next(self.end)
    @step
    def end(self):
        print("word", self.x[0], self.y[0])
"""
PLAIN = FLOW.format(conda="", names="()")
WITH_SIX = FLOW.format(conda='@conda(libraries={"six": "1.16.0"})', names='("six",)')


@pytest.fixture
def machine(tmp_path, channel) -> Machine:
    """A machine that reaches the channel."""
    return Machine(tmp_path / "home", channel.url)


def _tool(machine: Machine, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "airflow_conda_flow.cli.tool", *words],
        env=machine.environ,
        cwd=machine.home,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _age(machine: Machine, days: float) -> None:
    """Makes everything that the machine has stored older."""
    for path in (machine.home / ".airflow-conda-flow").rglob("*"):
        state = path.lstat()
        if not path.is_symlink():
            os.utime(path, (state.st_atime, state.st_mtime - days * 24 * 3600))


def _run(
    machine: Machine, flow: Path, *words: str, **environ: str
) -> tuple[str, subprocess.CompletedProcess]:
    done = machine.run(flow, *words, **environ)
    return re.search(r"run-id (\d+)", done.stdout)[1], done


def _wait_until(condition) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_that_stays_resumes_without_the_channel(machine, channel):
    """Months later: runs go but one that failed; its environment was removed from the disk, and comes back."""
    flow = machine.flow(WITH_SIX)
    run_id, failed = _run(machine, flow, "--environment=conda", "run", WORD="kept", FAILS="1")
    assert failed.returncode == 1
    other, done = _run(machine, flow, "--environment=conda", "run", WORD="gone")
    assert done.returncode == 0, done.stdout + done.stderr
    _age(machine, 60)
    told = _tool(machine, "datastore", "prune", "--run", f"AFlow/{other}")
    assert f"AFlow/{other}" in told
    assert "1 of 2 runs removed" in _tool(machine, "datastore", "prune", "--run", f"AFlow/{other}", "--yes")
    printed = _tool(machine, "cache", "prune", "--yes")
    assert "environments                2" in printed
    assert not re.search(r"^packages ", printed, re.MULTILINE)
    channel.stop()
    resumed = machine.run(flow, "--environment=conda", "resume", "--origin-run-id", run_id)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "six 1.16.0" in resumed.stdout
    assert "word kept kept" in resumed.stdout
    # The resumed run shares its artifacts and logs.
    assert "0 of 2 runs would go" in _tool(
        machine, "datastore", "prune", "--older-than", "0h", "--keep-last", "1"
    )


def test_usage_tells_how_runs_ended(machine):
    """A run that has just failed is not counted as running; one that runs is."""
    flow = machine.flow(PLAIN)
    for environ, code in (({"FAILS": "1"}, 1), ({}, 0)):
        assert machine.run(flow, "run", **environ).returncode == code
    flag = machine.home / "flag"
    machine.environ["FLAG"] = str(flag)
    with machine.started(flow, "run") as process:
        _wait_until(flag.with_name("flag.waits").exists)
        assert re.search(r"^AFlow +3 +1 +1 +1 ", _tool(machine, "datastore", "usage"), re.MULTILINE)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 128 + signal.SIGINT
    assert re.search(r"^AFlow +3 +1 +2 +0 ", _tool(machine, "datastore", "usage"), re.MULTILINE)
    command = machine.command(flow, "run")
    with subprocess.Popen(
        command, env=machine.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()  # before the first line
        assert process.wait(60) == 1
    assert re.search(r"^AFlow +4 +1 +3 +0 ", _tool(machine, "datastore", "usage"), re.MULTILINE)


def test_what_killed_processes_were_writing_goes(machine):
    """Files that their writers never finished; those that a running process writes stay."""
    assert machine.run(machine.flow(PLAIN), "run").returncode == 0
    folder = machine.datastore / "flows" / "AFlow"
    tasks = [path for path in folder.glob("*/*/*") if path.is_dir()]
    program = "from airflow_conda_flow.datastore.left_behind import new_mark; print(new_mark())"
    dead = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    left, written = ([task / f".0.json.{mark}.part" for task in tasks] for mark in (dead.strip(), new_mark()))
    for each in (*left, *written):
        each.write_text("{")
    _tool(machine, "datastore", "prune")
    assert all(each.exists() for each in left)
    _tool(machine, "datastore", "prune", "--yes")
    assert [each.exists() for each in (*left, *written)] == [False] * len(tasks) + [True] * len(tasks)


def test_beside_a_running_flow(machine, tmp_path):
    """A step has been running for weeks: its run, its artifacts, its environment and its code stay."""
    flow = machine.flow(WITH_SIX)
    old, done = _run(machine, flow, "--environment=conda", "run", WORD="of both")
    assert done.returncode == 0, done.stdout + done.stderr
    _age(machine, 90)
    flag = tmp_path / "flag"
    machine.environ.update(FLAG=str(flag), WORD="of both")
    with machine.started(flow, "--environment=conda", "run") as process:
        _wait_until(Path(f"{flag}.waits").exists)
        # Everything but signs of life is as old as it would be by then.
        _age(machine, 40)
        _show_life(machine)
        pruned = _tool(machine, "datastore", "prune", "--older-than", "0h", "--yes")
        assert f"AFlow/{old}" in pruned
        assert "1 of 2 runs removed" in pruned
        assert "is in use and stays" in _tool(machine, "cache", "prune", "--yes")
        flag.touch()
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "word of both of both" in output


def _show_life(machine: Machine) -> None:
    for path in (machine.home / ".airflow-conda-flow/datastore/flows/AFlow").iterdir():
        newest = max(each.stat().st_mtime for each in path.rglob("*"))
        if time.time() - newest < 41 * 24 * 3600:
            (path / "run.alive").touch()


def test_the_year_in_fast_motion(machine):
    """Twelve runs, pruned after each: the disk stays flat, and the last runs are whole."""
    sizes = []
    for number in range(12):
        flow = machine.flow(PLAIN + f"# {number}\n")
        _, done = _run(machine, flow, "--quiet", "run", WORD=f"word {number}")
        assert done.returncode == 0, done.stdout + done.stderr
        _age(machine, 3)
        _tool(machine, "datastore", "prune", "--keep-last", "3", "--yes")
        store = machine.home / ".airflow-conda-flow/datastore"
        sizes.append(len([path for path in store.rglob("*") if path.is_file()]))
    assert max(sizes[4:]) == min(sizes[4:])
