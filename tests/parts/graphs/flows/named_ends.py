"""The first and the last step have names of their own."""

from airflow_conda_flow import FlowSpec, step


class NamedEnds(FlowSpec):
    @step(start=True)
    def begin(self):
        self.items = ["a", "b"]
        self.next(self.body, foreach="items")

    @step()
    def body(self):
        self.upper = self.input.upper()
        self.next(self.join)

    @step
    def join(self, inputs):
        self.all = [each.upper for each in inputs]
        self.next(self.finish)

    @step(end=True)
    def finish(self):
        assert self.all == ["A", "B"]


dag = NamedEnds.dag(schedule=None, environment="local")


if __name__ == "__main__":
    NamedEnds()
