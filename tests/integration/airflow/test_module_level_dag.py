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
after = EmptyOperator(task_id="after", dag=dag)
dag.get_task("end") >> after
after << dag.get_task("start")
more = EmptyOperator(task_id="more", dag=dag)
after >> [more] << dag.task_dict["end"]
dag.get_task("start").pool = "default_pool"
for each in dag.tasks:
    each.doc_md = "words"
"""


def test_in_airflow(machine):
    """The DAGs are there, and their steps run."""
    machine.flow(FLOW, folder=machine.dags)
    done = machine.airflow("dags", "test", "a_flow")
    assert done.returncode == 0, done.stdout
    assert "DONE words" in done.stdout
    assert "more" in done.stdout
    assert machine.airflow("dags", "test", "one_b").returncode == 0


def test_in_a_program(machine):
    """The operators are made, and nothing of them runs."""
    done = machine.run(machine.flow(FLOW), "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "] DONE words\n" in done.stdout


def test_operators_that_are_imported_late(machine):
    """After dag(), and only around a block: the block is one of a real DAG."""
    text = """
    class AFlow(FlowSpec):
        @step(start=True, end=True)
        def only(self):
            print("DONE")
    dag = AFlow.dag(schedule=None)
    from airflow.providers.standard.operators.empty import EmptyOperator
    with dag:
        EmptyOperator(task_id="before") >> EmptyOperator(task_id="after")
    """
    done = machine.run(machine.flow(text), "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "] DONE\n" in done.stdout


def test_running_the_dag_in_a_program(machine):
    """It says what to write instead, as where Airflow is not imported."""
    done = machine.run(machine.flow(FLOW + "if __name__ == '__main__':\n    dag.test()\n"))
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "dag.test()" in line]
    assert "dag.test() runs nothing here" in line
    assert "Write 'airflow dags test a_flow'" in line
    assert "Traceback" not in done.stderr
