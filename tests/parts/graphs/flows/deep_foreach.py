"""Foreach three levels deep; bodies of many steps, a branch in the innermost."""

from airflow_conda_flow import FlowSpec, step


class DeepForeach(FlowSpec):
    @step
    def start(self):
        self.xs = "ab"
        self.next(self.one, foreach="xs")

    @step
    def one(self):
        self.x = self.input
        self.next(self.one_more)

    @step
    def one_more(self):
        assert self.input == self.x
        self.ys = (n for n in range(2 if self.x == "a" else 1))
        self.next(self.two, foreach="ys")

    @step
    def two(self):
        self.y = self.input
        self.zs = {"p": 1, "q": 2} if self.y == 0 else {"p": 1}
        self.next(self.three, foreach="zs")

    @step
    def three(self):
        self.z = self.input
        stack = self.foreach_stack()
        assert [frame[2] for frame in stack] == [self.x, self.y, self.z]
        assert [frame[1] for frame in stack] == [2, 2 if self.x == "a" else 1, 2 - self.y]
        assert stack[-1][0] == self.index
        self.next(self.left, self.right)

    @step
    def left(self):
        self.part = "%s%d%sl" % (self.x, self.y, self.z)
        self.next(self.both)

    @step
    def right(self):
        self.part = "r"
        self.next(self.both)

    @step
    def both(self, inputs):
        self.word = inputs.left.part + inputs.right.part
        assert self.index is not None and len(self.foreach_stack()) == 3
        self.merge_artifacts(inputs, exclude=["part"])
        self.next(self.join_three)

    @step
    def join_three(self, inputs):
        self.words = [each.word for each in inputs]
        assert self.input == inputs[0].y
        self.next(self.after_three)

    @step
    def after_three(self):
        self.next(self.join_two)

    @step
    def join_two(self, inputs):
        self.words = [each.words for each in inputs]
        self.next(self.join_one)

    @step
    def join_one(self, inputs):
        self.words = [each.words for each in inputs]
        assert self.index is None and self.input is None
        self.next(self.end)

    @step
    def end(self):
        assert self.words == [[["a0plr", "a0qlr"], ["a1plr"]], [["b0plr", "b0qlr"]]]


dag = DeepForeach.dag(schedule=None, environment="local")


if __name__ == "__main__":
    DeepForeach()
