"""@retry, @catch and @timeout as Airflow's retries and limits."""

from __future__ import annotations

FLOW = """
from airflow_conda_flow import catch, retry, timeout
import time
class AFlow(FlowSpec):
    @catch(var="problem")
    @retry(times=1, minutes_between_retries=0.05)
    @step
    def start(self):
        self.count = current.retry_count
        print("STARTED", current.retry_count)
        raise ValueError("on purpose")
        self.next(self.late)
    @catch(var="late_problem", print_exception=False)
    @timeout(seconds=1)
    @step
    def late(self):
        print("SEEN", self.count, self.problem.exception, self.problem.type)
        time.sleep(100)
        self.next(self.end)
    @step
    def end(self):
        print("LATE", self.late_problem.type, self.late_problem.exception)

dag = AFlow.dag(schedule=None, environment="local")
"""
DESCRIBE = """
import os
from airflow.dag_processing.dagbag import DagBag
dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["a_flow"]
for task in dag.tasks:
    print(task.task_id, task.retries, task.retry_delay, task.execution_timeout)
"""


def test_decorators_are_arguments_of_the_operators(airflow_machine):
    """Retries, two more for what the infrastructure loses, their delay, and a limit with room for code and environment."""
    airflow_machine.flow(FLOW, folder=airflow_machine.dags)
    said = airflow_machine.python(DESCRIBE)
    assert "start 3 0:00:03 None" in said
    assert "late 2 0:00:10 0:15:01" in said


def test_dags_test_catches_after_the_last_try(airflow_machine):
    """The first try fails, the second is caught, a step that takes too long too, and the run succeeds."""
    airflow_machine.flow(FLOW, folder=airflow_machine.dags)
    done = airflow_machine.airflow("dags", "test", "a_flow")
    assert done.returncode == 0, done.stdout
    assert "STARTED 0" in done.stdout
    assert "STARTED 1" in done.stdout
    assert "SEEN 1 on purpose builtins.ValueError" in done.stdout
    late = "LATE airflow_conda_flow.errors.TimeoutException Step late timed out after 0 hours, 0 minutes, 1 seconds"
    assert late in done.stdout
