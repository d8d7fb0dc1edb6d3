"""One branch of a split is a foreach, the other a chain of steps."""

from airflow_conda_flow import FlowSpec, step


class ForeachInBranch(FlowSpec):
    @step
    def start(self):
        self.items = [3, 1, 2]
        self.next(self.many, self.chain)

    @step
    def many(self):
        self.next(self.body, foreach="items")

    @step
    def body(self):
        self.square = self.input**2
        self.next(self.body_again)

    @step
    def body_again(self):
        self.square += self.index
        self.next(self.gather)

    @step
    def gather(self, inputs):
        self.squares = [each.square for each in inputs]
        self.next(self.join)

    @step
    def chain(self):
        self.next(self.chain_again)

    @step
    def chain_again(self):
        self.chained = len(self.items)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.squares = inputs.gather.squares
        self.chained = inputs.chain_again.chained
        self.next(self.end)

    @step
    def end(self):
        assert self.squares == [9, 2, 6] and self.chained == 3


dag = ForeachInBranch.dag(schedule=None, environment="local")


if __name__ == "__main__":
    ForeachInBranch()
