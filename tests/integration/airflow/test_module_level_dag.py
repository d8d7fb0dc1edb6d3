"""Code of a flow file that uses its DAG works where Airflow makes it, and in the steps of its runs."""

from __future__ import annotations

FLOW = """
from airflow.providers.standard.operators.empty import EmptyOperator
class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        print("DONE", dag.doc_md)

for name in ("a", "b"):
    d = AFlow.dag(dag_id=f"one_{name}", schedule=None, environment="local")
    globals()[d.dag_id] = d
with AFlow.dag(schedule=None, environment="local") as dag:
    dag.doc_md = "words"
    EmptyOperator(task_id="before") >> dag.task_dict.get("prepare", EmptyOperator(task_id="other"))
    dag.tags.add("x")
"""


def test_in_airflow(machine):
    """The DAGs are there, and their steps run."""
    machine.flow(FLOW, folder=machine.dags)
    done = machine.airflow("dags", "test", "a_flow")
    assert done.returncode == 0, done.stdout
    assert "DONE words" in done.stdout
    assert machine.airflow("dags", "test", "one_b").returncode == 0
