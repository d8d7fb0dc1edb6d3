"""Seconds per task of a foreach of 100 empty tasks, beside Metaflow's plain ``run``."""

import shutil
import sys
import tempfile
from pathlib import Path

import harness

WIDTH = 100
FLOW = """
from {package} import FlowSpec, step

class WideFlow(FlowSpec):
    @step
    def start(self):
        self.items = list(range({width}))
        self.next(self.body, foreach="items")

    @step
    def body(self):
        self.square = self.input ** 2
        self.next(self.join)

    @step
    def join(self, inputs):
        self.total = sum(i.square for i in inputs)
        self.next(self.end)

    @step
    def end(self):
        print("total", self.total)

if __name__ == "__main__":
    WideFlow()
"""


def measure(work, python, package, *options, channel=None):
    folder = Path(tempfile.mkdtemp(dir=work))
    flow = folder / "wide_flow.py"
    flow.write_text(FLOW.format(package=package, width=WIDTH))
    last = 1 if channel is None else 2  # the first run of a conda flow makes its environment
    for _ in range(last):
        seconds, output = harness.run(
            [python, flow, *options], env=harness.environ(work, channel), cwd=folder
        )
    assert f"total {sum(n * n for n in range(WIDTH))}" in output
    return seconds / (WIDTH + 3)


def main():
    harness.WORK.mkdir(parents=True, exist_ok=True)
    channel = harness.channel()
    work = Path(tempfile.mkdtemp(dir=harness.WORK))
    try:
        peer = measure(work, harness.metaflow_python(), "metaflow", "run")
        plain = measure(work, sys.executable, "airflow_conda_flow", "run")
        conda = measure(
            work, sys.executable, "airflow_conda_flow", "--environment=conda", "run", channel=channel
        )
        again = measure(work, harness.metaflow_python(), "metaflow", "run")
    finally:
        shutil.rmtree(work)
    peer = (peer + again) / 2
    harness.table(
        f"Seconds per task, foreach of {WIDTH}, the whole run divided by its tasks",
        [
            ("Metaflow, run", peer, None, ""),
            ("airflow-conda-flow, run", plain, plain / peer, "Metaflow"),
            ("airflow-conda-flow, --environment=conda run", conda, conda / peer, "Metaflow"),
        ],
    )


if __name__ == "__main__":
    main()
