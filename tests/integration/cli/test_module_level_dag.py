"""Code of a flow file that uses its DAG works where no DAG is made."""

from __future__ import annotations

import pytest

from ...parts.flow_machine import Machine

FLOW = """
class AFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
    @step
    def end(self):
        print("DONE")

%s
"""

USES = [
    "for number in range(2):\n    d = AFlow.dag(dag_id='a_%d' % number)\n    globals()[d.dag_id] = d\nassert a_1 is not None",
    "dag = AFlow.dag()\ndag.doc_md = __doc__ or 'x'\ndag.tags.add('x')\nassert dag.doc_md == 'x'",
    "with AFlow.dag(schedule=None) as dag:\n    dag.doc_md = 'x'\n    before = dag.task_dict.get('start')\n    before >> [1]",
    "dag = AFlow.dag()\nassert dag.dag_id == 'a_flow'\ntasks = {each.task_id: each for each in dag.tasks}\nassert len(dag.tasks) == 0",
    "dag = AFlow.dag()\n@dag.task(retries=2)\ndef hello():\n    raise ValueError\nhello() >> dag.get_task('start') >> hello()",
    "dag = AFlow.dag()\ndag.default_args['owner'] = 'me'\ndag.params['alpha'] = 3\ndag.user_defined_macros |= {'a': 1}",
    "dags = [AFlow.dag(dag_id=each) for each in ('x', 'y')]\nassert sorted(each.dag_id for each in dags) == ['x', 'y']\nassert not dags[0]",
]


@pytest.mark.parametrize("use", USES)
def test_in_a_program_and_in_steps(tmp_path, use):
    """It changes nothing there."""
    machine = Machine(tmp_path / "home")
    done = machine.run(machine.flow(FLOW % use), "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "] DONE" in done.stdout


@pytest.mark.parametrize("method", ["test", "cli"])
def test_running_the_dag_in_a_program(tmp_path, method):
    """It says what to write instead; nothing runs in silence."""
    machine = Machine(tmp_path / "home")
    flow = machine.flow(FLOW % f"dag = AFlow.dag()\nif __name__ == '__main__':\n    dag.{method}()")
    done = machine.run(flow)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert f"{flow}:11: dag.{method}() runs nothing here" in done.stderr
    assert "Write 'airflow dags test a_flow'" in done.stderr
