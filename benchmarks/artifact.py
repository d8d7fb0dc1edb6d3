"""Seconds to write and to read one 500 MB numpy artifact, beside Metaflow and ``cp``."""

import shutil
import sys
import tempfile
from pathlib import Path

import harness

FLOW = """
import time
from {package} import FlowSpec, {names}step

{decorator}
class BigFlow(FlowSpec):
    @step
    def start(self):
        import numpy
        self.array = numpy.random.default_rng(1).random(62_500_000)
        print("ASSIGNED", flush=True)
        self.next(self.middle)

    @step
    def middle(self):
        began = time.time()
        self.last = float(self.array[-1])
        self.read = time.time() - began
        self.next(self.end)

    @step
    def end(self):
        print("READ", self.read)

if __name__ == "__main__":
    BigFlow()
"""


def measure(work, python, package, *options, names="", decorator="", channel=None, runs=1):
    """When the array was assigned and its task ended, by the run's own lines; seconds of the read."""
    flow = work / f"big_{package}.py"
    flow.write_text(FLOW.format(package=package, names=names, decorator=decorator))
    for _ in range(runs):  # the first run of a conda flow makes its environment
        command = [python, flow, *options, "run"]
        _, output = harness.run(command, env=harness.environ(work, channel), cwd=work)
    stamps = {}
    for line in output.splitlines():
        for step in ("start", "middle"):
            if f"/{step}/" in line and "Task is starting." in line:
                stamps[step, "starting"] = line[:23]
            if f"/{step}/" in line and "ASSIGNED" in line:
                stamps[step, "assigned"] = line[:23]
            if f"/{step}/" in line and "finished successfully" in line:
                stamps[step, "finished"] = line[:23]
    (read,) = (float(line.split("READ")[1]) for line in output.splitlines() if "READ" in line)
    return stamps, read


def seconds_between(first, second):
    from datetime import datetime

    form = "%Y-%m-%d %H:%M:%S.%f"
    return (datetime.strptime(second, form) - datetime.strptime(first, form)).total_seconds()


def main():
    harness.WORK.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=harness.WORK))
    peer_python = harness.metaflow_python()
    make = "import numpy; numpy.random.default_rng(1).random(62_500_000).tofile('raw')"
    try:
        made, _ = harness.run([peer_python, "-c", make], cwd=work)
        copied, _ = harness.run(["cp", "raw", "copy"], cwd=work)
        peer, peer_read = measure(work, peer_python, "metaflow")
        ours, our_read = measure(
            work,
            sys.executable,
            "airflow_conda_flow",
            "--environment=conda",
            names="conda_base, ",
            decorator='@conda_base(libraries={"numpy": "1.26.4"})',
            channel=harness.channel(),
            runs=2,
        )
    finally:
        shutil.rmtree(work)
    peer_write = seconds_between(peer["start", "assigned"], peer["start", "finished"])
    our_write = seconds_between(ours["start", "assigned"], ours["start", "finished"])
    harness.table(
        "One 500 MB numpy array (the write: from the line after the assignment to the task's end)",
        [
            ("cp of the raw bytes", copied, None, ""),
            ("making the array and writing its raw bytes, no flow", made, made / copied, "cp"),
            ("Metaflow, write", peer_write, peer_write / copied, "cp"),
            ("airflow-conda-flow, write", our_write, our_write / peer_write, "Metaflow"),
            ("Metaflow, first touch in the next step", peer_read, None, ""),
            ("airflow-conda-flow, first touch", our_read, our_read / peer_read, "Metaflow"),
        ],
    )


if __name__ == "__main__":
    main()
