"""One step is both the first and the last."""

from airflow_conda_flow import FlowSpec, current, step


class OneStep(FlowSpec):
    @step
    def only(self):
        self.seen = [current.step_name, self.index, self.input, self.foreach_stack()]


dag = OneStep.dag(schedule=None, environment="local")


if __name__ == "__main__":
    OneStep()
