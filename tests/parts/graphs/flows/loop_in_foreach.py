"""Every split loops as often as it needs, next to a branch that loops too."""

from airflow_conda_flow import FlowSpec, step


class LoopInForeach(FlowSpec):
    @step
    def start(self):
        self.next(self.many, self.alone)

    @step
    def many(self):
        self.items = [1, 3, 2]
        self.next(self.again, foreach="items")

    @step
    def again(self):
        self.count = getattr(self, "count", 0) + 1
        self.go = "on" if self.count >= self.input else "back"
        self.next({"on": self.after, "back": self.again}, condition="go")

    @step
    def after(self):
        assert self.count == self.input
        self.next(self.gather)

    @step
    def gather(self, inputs):
        self.counts = [each.count for each in inputs]
        self.next(self.join)

    @step
    def alone(self):
        self.left = getattr(self, "left", 3) - 1
        self.go = "back" if self.left else "on"
        self.next({"back": self.alone, "on": self.alone_done}, condition="go")

    @step
    def alone_done(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.counts = inputs.gather.counts
        assert inputs.alone_done.left == 0
        self.next(self.end)

    @step
    def end(self):
        assert self.counts == [1, 3, 2]


dag = LoopInForeach.dag(schedule=None, environment="local")


if __name__ == "__main__":
    LoopInForeach()
