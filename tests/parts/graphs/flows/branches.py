"""A split inside a split; the inner join is one branch of the outer one."""

from airflow_conda_flow import FlowSpec, step


class Branches(FlowSpec):
    @step
    def start(self):
        self.kept = {"same": [1, 2]}
        self.next(self.left, self.right)

    @step
    def left(self):
        self.x = "l"
        self.next(self.upper, self.lower)

    @step
    def upper(self):
        self.x += "u"
        self.next(self.inner)

    @step
    def lower(self):
        self.x += "d"
        self.next(self.lower_again)

    @step
    def lower_again(self):
        self.x += "!"
        self.next(self.inner)

    @step
    def inner(self, inputs):
        assert inputs.upper.x == "lu" and inputs.lower_again.x == "ld!"
        assert inputs[1].x == "ld!" and len(list(inputs)) == 2
        self.x = inputs[0].x + inputs[1].x
        self.merge_artifacts(inputs)
        self.next(self.outer)

    @step
    def right(self):
        self.x = "r"
        self.next(self.outer)

    @step
    def outer(self, inputs):
        assert not hasattr(self, "kept")
        self.got = [inputs.inner.x, inputs.right.x]
        self.merge_artifacts(inputs, exclude=["x"])
        self.next(self.end)

    @step
    def end(self):
        assert self.got == ["luld!", "r"] and self.kept == {"same": [1, 2]}
        assert not hasattr(self, "x")


dag = Branches.dag(schedule=None, environment="local")


if __name__ == "__main__":
    Branches()
