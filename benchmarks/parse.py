"""CPU seconds to parse a DAG file with a flow of 10, 100 and 1,000 steps, beside the same DAG by hand.

Both files hold the same steps; one ends with ``.dag()``, the other makes the same operators and edges by
hand. A third of the steps is in branches of three, a fifth in the body of a foreach. Each file is loaded in
a process of its own that has Airflow loaded already, as Airflow's DAG processor does; with its checks.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import harness

SIZES = (10, 100, 1000)
TIMES = 5
LOAD = """
import gc, json, os, sys, time
from airflow.dag_processing.dagbag import DagBag
import airflow_conda_flow.airflow.dag.compiler
gc.collect()
gc.freeze()  # what Airflow itself has loaded is not looked at
started = time.process_time()
bag = DagBag(sys.argv[1], safe_mode=False)
seconds = time.process_time() - started
assert not bag.import_errors, bag.import_errors
(dag,) = bag.dags.values()
edges = sorted((task.task_id, up) for task in dag.tasks for up in task.upstream_task_ids)
print(json.dumps([seconds, edges]))
"""
HEAD = "from airflow_conda_flow import FlowSpec, step\n\n\nclass ManySteps(FlowSpec):\n"
BY_HAND = """
from airflow.sdk import DAG, Asset

from airflow_conda_flow.airflow.operators.prepare import PrepareOperator
from airflow_conda_flow.airflow.operators.step import StepOperator

with DAG("many_steps", schedule=None) as dag:
    prepare = PrepareOperator(task_id="prepare", flow_class=ManySteps, environment="conda")
"""


class Writer:
    """Writes a flow and the DAG by hand side by side."""

    def __init__(self):
        self.flow = [HEAD]
        self.dag = []
        self.count = 0

    def step(self, name, following, before, *, join=False, foreach=None, mapped=None):
        """One step: what it goes on with, and what its task comes after."""
        kind = "foreach" if foreach else "linear" if following else "end"
        kind = "split" if len(following) > 1 else kind
        option = f', foreach="{foreach}"' if foreach else ""
        targets = ", ".join(f"self.{each}" for each in following)
        body = f"self.next({targets}{option})" if following else "pass"
        self.flow.append(
            f"    @step\n    def {name}(self{', inputs' if join else ''}):\n"
            f"        self.items = [1, 2]\n        {body}\n\n"
        )
        common = f'task_id="{name}", do_xcom_push={bool(foreach)}'
        ours = f'flow="ManySteps", step="{name}", kind="{kind}", decorators={{}}'
        if mapped:
            made = (
                f'StepOperator.partial({common}, {ours}, map_index_template="{{{{ split_name }}}}")'
                f".expand(indices={mapped}.output)"
            )
        else:
            outlets = "" if following else ', outlets=[Asset("conda_flow.ManySteps.end")]'
            made = f"StepOperator({common}, {ours}{outlets})"
        self.dag.append(f"    {name} = {made}\n    {name}.set_upstream([{', '.join(before)}])\n")
        self.count += 1


def write(folder, steps):
    """The two files, of so many steps."""
    writer = Writer()
    number, before = 0, "prepare"
    writer.step("start", ["s0"], [before])
    before = "start"
    while writer.count + 9 <= steps - 1:
        a = f"s{number}"
        names = [f"{a}_{each}" for each in ("b", "c", "d", "join", "each", "x", "y", "gather")]
        b, c, d, join, each, x, y, gather = names
        writer.step(a, [b, c, d], [before])
        for branch in (b, c, d):
            writer.step(branch, [join], [a])
        writer.step(join, [each], [b, c, d], join=True)
        writer.step(each, [x], [join], foreach="items")
        writer.step(x, [y], [each], mapped=each)
        writer.step(y, [gather], [x], mapped=each)
        writer.step(gather, [f"s{number + 1}"], [y], join=True)
        number, before = number + 1, gather
    while writer.count < steps - 1:
        writer.step(f"s{number}", [f"s{number + 1}"], [before])
        before, number = f"s{number}", number + 1
    flow = "".join(writer.flow).replace(f"self.s{number})", "self.end)")
    flow += "    @step\n    def end(self):\n        pass\n"
    writer.step("end", [], [before])
    (folder / "ours").mkdir()
    (folder / "hand").mkdir()
    (folder / "ours" / "a_dag.py").write_text(flow + "\n\ndag = ManySteps.dag(schedule=None)\n")
    (folder / "hand" / "a_dag.py").write_text(flow + BY_HAND + "".join(writer.dag))


def main():
    harness.WORK.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=harness.WORK))
    rows = []
    try:
        environ = harness.environ(work)
        environ.update(AIRFLOW_HOME=str(work / "airflow"), AIRFLOW__CORE__LOAD_EXAMPLES="False")
        for steps in SIZES:
            folder = work / str(steps)
            folder.mkdir()
            write(folder, steps)
            seconds = {"ours": [], "hand": []}
            edges = {}
            for _ in range(TIMES):
                for kind, times in seconds.items():
                    command = [sys.executable, "-W", "ignore", "-c", LOAD, folder / kind]
                    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
                    taken, edges[kind] = json.loads(done.stdout.splitlines()[-1])
                    times.append(taken)
            assert edges["ours"] == edges["hand"]
            hand, ours = (statistics.median(seconds[kind]) for kind in ("hand", "ours"))
            rows.append((f"{steps} steps, by hand", hand, None, ""))
            rows.append((f"{steps} steps, a flow", ours, ours / hand, "by hand"))
    finally:
        shutil.rmtree(work)
    harness.table("Parsing one DAG file", rows)


if __name__ == "__main__":
    main()
