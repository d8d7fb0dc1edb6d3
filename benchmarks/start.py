"""Seconds from launch to the first task line of a flow whose environments are cached."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import harness

FLOW = harness.REPOSITORY / "dags" / "linear_flow.py"


def first_line(environment, *options):
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, FLOW, *options, "run"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    seconds = None
    for line in process.stdout:
        if seconds is None and "Task is starting." in line:
            seconds = time.perf_counter() - started
    assert process.wait() == 0
    return seconds


def main():
    harness.WORK.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=harness.WORK))
    environment = harness.environ(work, harness.channel())
    try:
        cold = first_line(environment, "--environment=conda")
        plain = harness.median_of(10, lambda: first_line(environment))
        conda = harness.median_of(10, lambda: first_line(environment, "--environment=conda"))
        bare = harness.median_of(10, lambda: harness.run([sys.executable, "-c", "pass"])[0])
    finally:
        shutil.rmtree(work)
    harness.table(
        "From launch to the first task line, three-step flow",
        [
            ("the interpreter alone", bare, None, ""),
            ("run", plain, None, ""),
            ("--environment=conda run, cached", conda, conda / plain, "plain run"),
            ("--environment=conda run, first ever", cold, cold / plain, "plain run"),
        ],
    )


if __name__ == "__main__":
    main()
