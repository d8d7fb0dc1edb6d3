"""Wide foreaches under Airflow's scheduler, against the same DAG by hand, in one Airflow.

    scheduled_foreach.py local [WIDTH [MANY]]    # 200 by hand, as tasks and in blocks; 2,000
    scheduled_foreach.py pods [WIDTH]            # 50 by hand, as tasks and in blocks; needs KUBECONFIG

The operators by hand compute and print; they pass no result on, have no retries and keep no log of their own.
Runs take turns, as the first ones after the start of an Airflow are slower, and so the median of each counts.
"""

import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import harness

sys.path.insert(0, str(harness.REPOSITORY))

from tests.parts.airflow_machine import AirflowMachine, migrate_database
from tests.parts.flow_machine import Machine
from tests.parts.s3_servers import ACCESS_KEY, SECRET_KEY, run_rclone
from tests.real.airflow.standalone import standalone

BLOCKS = 8
ROUNDS = 3
BASE = os.environ.get("BASE", "debian-local:bookworm")
IMAGE = "airflow-conda-flow-runner:benchmark"
SLOTS = {"local": "4", "pods": "8"}
"""Tasks that run at the same time."""
FLOW = """
import os
{before}
from airflow_conda_flow import FlowSpec, kubernetes, step

class {name}(FlowSpec):
    @step
    def start(self):
        self.items = range({width})
        self.next(self.body, foreach="items")

    {decorator}
    @step
    def body(self):
        self.square = self.input ** 2
        print(self.square)
        self.next(self.join)

    @step
    def join(self, inputs):
        assert sum(each.square for each in inputs) == sum(n ** 2 for n in range({width}))
        self.next(self.end)

    @step
    def end(self):
        pass

wide = {name}.dag(dag_id="{dag_id}", schedule=None, environment="local")
"""
BY_HAND = """
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, task

with DAG("hand", schedule=None):
    @task
    def start():
        return {start}

    @task
    def join():
        print("joined")

    {body} >> join()
"""
BY_BASH = (
    """[f"python3 -c 'print({n} ** 2)'" for n in range(WIDTH)]""",
    """BashOperator.partial(task_id="body", do_xcom_push=False).expand(bash_command=start())""",
)
BY_POD = (
    '[["-c", f"print({n} ** 2)"] for n in range(WIDTH)]',
    """KubernetesPodOperator.partial(
        task_id="body", image=IMAGE, cmds=["python3"], image_pull_policy="Never", hostnetwork=True,
        namespace=NAMESPACE, in_cluster=False, config_file=CONFIG, get_logs=True,
    ).expand(arguments=start())""",
)
SPAN = (
    "select extract(epoch from max(end_date) - min(start_date))::float from task_instance "
    "where dag_id = ? and run_id = ? and task_id = 'body'"
)


def write_flow(machine, name, width, *, tasks=None, pods=False):
    """Write a flow whose DAG has the id ``name``; ``tasks`` is the setting ``foreach_tasks``."""
    before = "" if tasks is None else f'os.environ["CONDA_FLOW_FOREACH_TASKS"] = "{tasks}"'
    text = FLOW.format(
        before=before,
        name=f"{name.title()}Flow",
        dag_id=name,
        width=width,
        decorator="@kubernetes" if pods else "",
    )
    (machine.dags / f"{name}.py").write_text(text)


def span(airflow, dag_id):
    """Seconds from the first start of a body to the last end, of a run that succeeds."""
    airflow.trigger(dag_id)
    airflow.wait_for_run(dag_id, seconds=14_400)
    ((seconds,),) = airflow.query(SPAN, dag_id, airflow.run_id(dag_id))
    return seconds


def spans(airflow, *dag_ids):
    """The median of each DAG's `span`, in runs that take turns."""
    rounds = [[span(airflow, dag_id) for dag_id in dag_ids] for _ in range(ROUNDS)]
    print(*(" ".join(f"{seconds:.1f}" for seconds in each) for each in rounds), sep="\n", file=sys.stderr)
    return [statistics.median(each) for each in zip(*rounds, strict=True)]


def show(title, rows):
    """Print the table; rows are (label, splits, seconds), the first one by hand."""
    hand = rows[0][1] / rows[0][2]
    shown = []
    for label, splits, seconds in rows:
        rate = splits / seconds
        what = f"{splits} {label}: {rate * 60:.0f} a minute"
        shown.append((what, seconds, rate / hand, "as many a minute as by hand"))
    harness.table(title, shown)


@contextmanager
def cluster(folder):
    """Settings of pods in a namespace of this benchmark, and an S3 server that they reach."""
    namespace = f"benchmark-{secrets.token_hex(3)}"
    build = [sys.executable, harness.REPOSITORY / "docker" / "build.py", "--base", BASE, "--image", IMAGE]
    subprocess.run(build, check=True, capture_output=True)

    def kubectl(*words):
        subprocess.run(["kubectl", *words], check=True, capture_output=True)

    with run_rclone(folder) as server:
        kubectl("create", "namespace", namespace)
        try:
            kubectl(
                *("create", "secret", "generic", "s3", "--namespace", namespace),
                f"--from-literal=AWS_ACCESS_KEY_ID={ACCESS_KEY}",
                f"--from-literal=AWS_SECRET_ACCESS_KEY={SECRET_KEY}",
            )
            settings = {
                "NAMESPACE": namespace,
                "RUNNER_IMAGE": IMAGE,
                "IMAGE_PULL_POLICY": "Never",
                "HOST_NETWORK": "true",
                "SECRETS": "s3",
                "CPU": "0.05",
                "MEMORY": "64",
                "DISK": "64",
            }
            yield {
                **server.environment,
                "KUBECONFIG": os.environ["KUBECONFIG"],
                "CONDA_FLOW_DATASTORE": "s3",
                "CONDA_FLOW_DATASTORE_ROOT": server.make_root(),
                **{f"CONDA_FLOW_KUBERNETES_{name}": text for name, text in settings.items()},
            }
        finally:
            kubectl("delete", "namespace", namespace, "--wait=false")


@contextmanager
def airflow_machine(folder, kind, environ):
    """A machine with Airflow that has so many slots."""
    database = folder / "database"
    migrate_database(Path(sys.executable), Machine(database, AIRFLOW_HOME=str(database)))
    yield AirflowMachine(
        folder / "home",
        None,
        database / "airflow.db",
        AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT="300",  # beside other work
        AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT="300",
        AIRFLOW__CORE__PARALLELISM=SLOTS[kind],
        AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG=SLOTS[kind],
        **environ,
    )


def measure_local(folder, width=200, many=2000):
    """Processes of the workers."""
    with airflow_machine(folder, "local", {}) as machine:
        start, body = BY_BASH
        (machine.dags / "hand.py").write_text(
            BY_HAND.format(start=start.replace("WIDTH", str(width)), body=body)
        )
        write_flow(machine, "alone", width, tasks=width)
        write_flow(machine, "blocks", width, tasks=SLOTS["local"])
        write_flow(machine, "many", many)
        with standalone(machine) as airflow:
            hand, alone, blocks = spans(airflow, "hand", "alone", "blocks")
            rows = [
                ("BashOperators by hand", width, hand),
                ("splits, a task each", width, alone),
                (f"splits in {SLOTS['local']} blocks", width, blocks),
            ]
            if many:
                rows.append(("splits, settings as they are", many, span(airflow, "many")))
    show(f"A wide foreach under the scheduler, {SLOTS['local']} slots: the bodies", rows)


def measure_pods(folder, width=50):
    """Pods."""
    with cluster(folder) as environ, airflow_machine(folder, "pods", environ) as machine:
        start, body = BY_POD
        values = {"IMAGE": BASE, "NAMESPACE": environ["CONDA_FLOW_KUBERNETES_NAMESPACE"]}
        for name, text in {**values, "CONFIG": environ["KUBECONFIG"]}.items():
            body = body.replace(name, repr(text))
        (machine.dags / "hand.py").write_text(
            BY_HAND.format(start=start.replace("WIDTH", str(width)), body=body)
        )
        write_flow(machine, "alone", width, pods=True)
        write_flow(machine, "blocks", width, pods=True, tasks=BLOCKS)
        with standalone(machine) as airflow:
            hand, alone, blocks = spans(airflow, "hand", "alone", "blocks")
            rows = [
                ("KubernetesPodOperators by hand", width, hand),
                ("pods, a task each", width, alone),
                (f"pods in {BLOCKS} blocks", width, blocks),
            ]
    show(f"A foreach of pods under the scheduler, {SLOTS['pods']} slots: the bodies", rows)


def main():
    """Measure what the first word names."""
    kind, *numbers = sys.argv[1:] or ["local"]
    folder = Path(tempfile.mkdtemp(prefix="scheduled-"))
    {"local": measure_local, "pods": measure_pods}[kind](folder, *map(int, numbers))
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
