"""Processor seconds of commands of a two-step flow file, against Metaflow's and those of another checkout.

.venv/bin/python benchmarks/commands.py [--against CHECKOUT]

Each command includes the processes that it starts and waits for.
"""

import argparse
import resource
import shutil
import sys
import tempfile
from pathlib import Path

import harness

TIMES = 9
COMMANDS = ("show", "check", "run", "resume")
FLOW = """
from {module} import FlowSpec, step

class TwoSteps(FlowSpec):
    @step
    def start(self):
        self.x = 1
        self.next(self.end)

    @step
    def end(self):
        print(self.x)

if __name__ == "__main__":
    TwoSteps()
"""


def processor_seconds(command, **kwargs):
    """Of the command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    harness.run(command, **kwargs)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def of_commands(python, module, checkout=None):
    """Median by command."""
    work = Path(tempfile.mkdtemp(dir=harness.WORK))
    environment = harness.environ(work)
    if checkout is not None:
        environment["PYTHONPATH"] = str(checkout)
    (work / "two_steps.py").write_text(FLOW.format(module=module))

    def measure(name):
        return processor_seconds([python, "two_steps.py", name], env=environment, cwd=work)

    try:
        measure("run")  # compiles all modules, and is what `resume` resumes
        return {name: harness.median_of(TIMES, lambda name=name: measure(name)) for name in COMMANDS}
    finally:
        shutil.rmtree(work)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", type=Path, help="another checkout")
    arguments = parser.parse_args()
    harness.WORK.mkdir(parents=True, exist_ok=True)
    peer = of_commands(harness.metaflow_python(), "metaflow")
    before = arguments.against and of_commands(
        sys.executable, "airflow_conda_flow", arguments.against.resolve()
    )
    now = of_commands(sys.executable, "airflow_conda_flow", harness.REPOSITORY)
    rows = []
    for name in COMMANDS:
        rows.append((f"{name}: Metaflow", peer[name], None, ""))
        if before:
            rows.append((f"{name}: the other checkout", before[name], before[name] / peer[name], "Metaflow"))
        rows.append((name, now[name], now[name] / peer[name], "Metaflow"))
    harness.table("Commands of a flow file (processor time)", rows)


if __name__ == "__main__":
    main()
