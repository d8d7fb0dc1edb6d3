"""Remote steps of 12 s under Airflow's scheduler: ended in the triggerer, against ended on a worker.

The same flow twice in one Airflow. A callback for success makes every task of the second DAG go back to a
worker, as Airflow's own deferrable operators do. The steps are processes that stand in for pods.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import harness

sys.path.insert(0, str(harness.REPOSITORY))

from tests.parts.airflow_machine import AirflowMachine, migrate_database
from tests.parts.flow_machine import Machine
from tests.parts.s3_servers import run_moto
from tests.parts.toys import TOYS
from tests.real.airflow.standalone import standalone

WIDTH, SECONDS = 4, 12
FLOW = f"""
import time
from toy_place import toy
from airflow_conda_flow import FlowSpec, step

class SleepFlow(FlowSpec):
    @step
    def start(self):
        self.items = list(range({WIDTH}))
        self.next(self.sleep, foreach="items")
    @toy
    @step
    def sleep(self):
        time.sleep({SECONDS})
        self.next(self.join)
    @step
    def join(self, inputs):
        self.next(self.end)
    @step
    def end(self):
        pass

def nothing(context):
    pass

triggerer = SleepFlow.dag(dag_id="triggerer", schedule=None, environment="local")
worker = SleepFlow.dag(
    dag_id="worker", schedule=None, environment="local", default_args={{"on_success_callback": nothing}}
)
"""
SPAN = (
    "select extract(epoch from max(end_date) - min(start_date))::float from task_instance "
    "where dag_id = ? and task_id = 'sleep'"
)


def main():
    """Print the table."""
    folder = Path(tempfile.mkdtemp(prefix="deferred-"))
    migrate_database(Path(sys.executable), Machine(folder, AIRFLOW_HOME=str(folder / "database")))
    with run_moto(folder / "moto") as server:
        machine = AirflowMachine(
            folder / "home",
            "unused",
            folder / "database" / "airflow.db",
            **server.environment,
            CONDA_FLOW_DATASTORE="s3",
            CONDA_FLOW_DATASTORE_ROOT=server.make_root(),
            CONDA_FLOW_TOY_BOX=str(folder / "toys"),
            CONDA_FLOW_DEFERRABLE="true",
            CONDA_FLOW_DEFER_AFTER="0",
        )
        shutil.copytree(TOYS, machine.dags / "toy_place")
        (machine.dags / "sleep_flow.py").write_text(FLOW)
        machine.environ["PYTHONPATH"] = str(machine.dags)
        with standalone(machine) as airflow:
            spans = {}
            for dag_id in ("worker", "triggerer"):
                airflow.trigger(dag_id)
                airflow.wait_for_run(dag_id, seconds=600)
                ((spans[dag_id],),) = airflow.query(SPAN, dag_id)
    what = f"{WIDTH} steps of {SECONDS} s, ended "
    harness.table(
        "Remote steps under the scheduler",
        [
            (f"{what}on a worker", spans["worker"], None, ""),
            (f"{what}in the triggerer", spans["triggerer"], spans["triggerer"] / spans["worker"], "that"),
        ],
    )
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
