"""Wide foreaches under ``airflow dags test``: one task a split, blocks of splits, and the same by hand.

    wide_foreach.py [WIDTH [MANY]]    # 200 and 10,000

WIDTH splits run once as mapped BashOperators, once as a mapped task each and once in blocks, in the same
Airflow. MANY splits run with the settings as they are; 0 leaves that out.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import harness

sys.path.insert(0, str(harness.REPOSITORY))

from tests.parts.airflow_machine import AirflowMachine

BLOCKS = 8
USUAL = (200, 10_000)
FLOW = """
from airflow_conda_flow import FlowSpec, Parameter, step

class WideFlow(FlowSpec):
    width = Parameter("width", type=int)

    @step
    def start(self):
        self.items = range(self.width)
        self.next(self.body, foreach="items")

    @step
    def body(self):
        self.square = self.input ** 2
        self.next(self.join)

    @step
    def join(self, inputs):
        self.total = sum(each.square for each in inputs)
        self.next(self.end)

    @step
    def end(self):
        print("total", self.total)

wide = WideFlow.dag(dag_id="wide", schedule=None, environment="local")
"""
BY_HAND = """
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param, task

PRINT = "python -c 'import sys; print(int(sys.argv[1]) ** 2)' "

with DAG("by_hand", schedule=None, params={"width": Param(1, type="integer")}):
    @task
    def start(**context):
        return [PRINT + str(n) for n in range(context["params"]["width"])]

    @task
    def join(squares):
        print("total", sum(int(each) for each in squares))

    join(BashOperator.partial(task_id="body").expand(bash_command=start()).output)
"""


def seconds_of(machine, dag_id, width, **environ):
    """Seconds of a DAG run, from the command to its end."""
    began = time.perf_counter()
    conf = f'{{"width": {width}}}'
    done = machine.airflow("dags", "test", dag_id, "--conf", conf, seconds=36_000, **environ)
    seconds = time.perf_counter() - began
    total = sum(n * n for n in range(width))
    if done.returncode or not re.search(rf"total {total}\b", done.stdout):
        sys.exit(f"{dag_id} failed:\n{done.stdout[-5000:]}")
    return seconds


def main():
    """Print the table."""
    given = [int(each) for each in sys.argv[1:]]
    width, many = [*given, *USUAL[len(given) :]]
    folder = Path(tempfile.mkdtemp(prefix="wide-"))
    environ = {"HOME": str(folder), "AIRFLOW_HOME": str(folder / "database"), "PATH": "/usr/bin:/bin"}
    airflow = Path(sys.executable).parent / "airflow"
    subprocess.run([str(airflow), "db", "migrate"], env=environ, check=True, capture_output=True)
    machine = AirflowMachine(folder / "home", None, folder / "database" / "airflow.db")
    (machine.dags / "wide_flow.py").write_text(FLOW)
    (machine.dags / "by_hand.py").write_text(BY_HAND)
    start = seconds_of(machine, "wide", 1)
    hand = seconds_of(machine, "by_hand", width)
    alone = seconds_of(machine, "wide", width, CONDA_FLOW_FOREACH_TASKS=str(width))
    blocks = seconds_of(machine, "wide", width, CONDA_FLOW_FOREACH_TASKS=str(BLOCKS))
    rows = [
        ("a foreach of 1: Airflow's start, prepare, and four steps", start, None, ""),
        (f"{width} mapped BashOperators by hand", hand, None, ""),
        (f"{width} splits, a task each", alone, alone / hand, "by hand"),
        (f"{width} splits in {BLOCKS} blocks", blocks, blocks / hand, "by hand"),
    ]
    if many:
        seconds = seconds_of(machine, "wide", many)
        ratio = seconds / many * width / hand
        rows.append((f"{many} splits, settings as they are", seconds, ratio, "by hand, a split"))
    harness.table("Wide foreaches under `airflow dags test`, the whole command", rows)
    for what, seconds, *_ in rows[1:]:
        number = int(what.split()[0])
        print(f"\n{what}: {number / seconds * 60:.0f} splits a minute", end="")
    print()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
