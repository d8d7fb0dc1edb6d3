"""Some splits go through a foreach of their own, the others do not, and none through the third arm."""

from airflow_conda_flow import FlowSpec, step


class ForeachInSwitchInForeach(FlowSpec):
    @step
    def start(self):
        self.items = ["many", "one", "many", "split"]
        self.next(self.body, foreach="items")

    @step
    def body(self):
        self.kind = self.input
        self.next(
            {"many": self.many, "one": self.one, "split": self.split, "never": self.never}, condition="kind"
        )

    @step
    def many(self):
        self.inner_items = range(self.index or 1)
        self.next(self.inner, foreach="inner_items")

    @step
    def inner(self):
        self.kind = "odd" if self.input % 2 else "even"
        self.next({"odd": self.odd, "even": self.even}, condition="kind")

    @step
    def odd(self):
        self.word = "odd"
        self.next(self.inner_join)

    @step
    def even(self):
        self.word = "even"
        self.next(self.inner_join)

    @step
    def inner_join(self, inputs):
        self.words = [each.word for each in inputs]
        self.next(self.meet)

    @step
    def one(self):
        self.words = ["one"]
        self.next(self.meet)

    @step
    def split(self):
        self.next(self.left, self.right)

    @step
    def left(self):
        self.next(self.split_join)

    @step
    def right(self):
        self.next(self.split_join)

    @step
    def split_join(self, inputs):
        self.words = ["split", len(inputs)]
        self.next(self.meet)

    @step
    def never(self):
        self.none = [1]
        self.next(self.never_inner, foreach="none")

    @step
    def never_inner(self):
        self.next(self.never_join)

    @step
    def never_join(self, inputs):
        self.words = ["never"]
        self.next(self.meet)

    @step
    def meet(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.all = [each.words for each in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert self.all == [["even"], ["one"], ["even", "odd"], ["split", 2]]


dag = ForeachInSwitchInForeach.dag(schedule=None, environment="local")


if __name__ == "__main__":
    ForeachInSwitchInForeach()
