"""Seconds, processor time and memory of a foreach and its join as they grow; empty tasks, local datastore.

``python foreach_growth.py [WIDTH ...]``: 100, 1,000 and 10,000 where none is given, which takes minutes.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import foreach
import harness


def peak_megabytes(pid):
    """The peak of a process's memory so far; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return max((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), default=0)


def join_seconds(work):
    """How long the join of the newest run took, with the reading of all its inputs' values."""
    runs = (work / "datastore" / "flows" / "WideFlow").iterdir()
    task = json.loads((max(runs) / "join" / "0" / "0.json").read_text())
    started, finished = (datetime.fromisoformat(task[name]) for name in ("started", "finished"))
    return (finished - started).total_seconds()


def measure(work, width):
    """One row of the table."""
    folder = Path(tempfile.mkdtemp(dir=work))
    flow = folder / "wide_flow.py"
    flow.write_text(foreach.FLOW.format(package="airflow_conda_flow", width=width))
    command = [sys.executable, flow, "run", "--max-num-splits", str(width)]
    started = time.perf_counter()
    process = subprocess.Popen(command, env=harness.environ(work), cwd=folder, stdout=subprocess.DEVNULL)
    memory = 0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        memory = max(memory, peak_megabytes(process.pid))
        time.sleep(0.1)
    seconds = time.perf_counter() - started
    if status:
        sys.exit(f"The run over {width} splits failed.")
    used = usage.ru_utime + usage.ru_stime
    cells = (
        width,
        f"{seconds:.1f}",
        f"{1000 * seconds / width:.1f}",
        f"{1000 * used / width:.1f}",
        memory,
        f"{join_seconds(work):.2f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def main():
    harness.WORK.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=harness.WORK))
    try:
        rows = [measure(work, int(width)) for width in sys.argv[1:] or (100, 1000, 10000)]
    finally:
        shutil.rmtree(work)
    print("| splits | seconds | per split, ms | processor time per split, ms | memory, MB | join, seconds |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
