"""An arm holds a whole foreach, another a whole split, a third one step."""

from airflow_conda_flow import FlowSpec, Parameter, step


class ForeachInSwitch(FlowSpec):
    way = Parameter("way", default="many")

    @step
    def start(self):
        self.next({"many": self.many, "both": self.both, "one": self.one}, condition="way")

    @step
    def many(self):
        self.items = ["a", "b"]
        self.next(self.body, foreach="items")

    @step
    def body(self):
        self.letters = range(2)
        self.next(self.inner, foreach="letters")

    @step
    def inner(self):
        self.word = self.foreach_stack()[0][2] + str(self.input)
        self.next(self.inner_join)

    @step
    def inner_join(self, inputs):
        self.words = [each.word for each in inputs]
        self.next(self.join)

    @step
    def join(self, inputs):
        self.words = [each.words for each in inputs]
        self.next(self.meet)

    @step
    def both(self):
        self.next(self.left, self.right)

    @step
    def left(self):
        self.words = ["left"]
        self.next(self.both_join)

    @step
    def right(self):
        self.words = ["right"]
        self.next(self.both_join)

    @step
    def both_join(self, inputs):
        self.words = inputs.left.words + inputs.right.words
        self.next(self.meet)

    @step
    def one(self):
        self.words = ["one"]
        self.next(self.meet)

    @step
    def meet(self):
        self.done = self.words
        self.next(self.end)

    @step
    def end(self):
        expected = {"many": [["a0", "a1"], ["b0", "b1"]], "both": ["left", "right"], "one": ["one"]}
        assert self.done == expected[self.way]


dag = ForeachInSwitch.dag(schedule=None, environment="local")


if __name__ == "__main__":
    ForeachInSwitch()
