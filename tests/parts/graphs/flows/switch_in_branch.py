"""A switch in each branch of a split; one branch's arms meet, the other's lead to the join itself."""

from airflow_conda_flow import FlowSpec, step


class SwitchInBranch(FlowSpec):
    @step
    def start(self):
        self.next(self.meeting, self.direct, self.plain)

    @step
    def meeting(self):
        self.kind = "x"
        self.next({"x": self.x, "y": self.y}, condition="kind")

    @step
    def x(self):
        self.way = "x"
        self.next(self.met)

    @step
    def y(self):
        self.way = "y"
        self.next(self.met)

    @step
    def met(self):
        self.next(self.join)

    @step
    def direct(self):
        self.kind = "q"
        self.next({"p": self.p, "q": self.q}, condition="kind")

    @step
    def p(self):
        self.way = "p"
        self.next(self.join)

    @step
    def q(self):
        self.way = "q"
        self.next(self.join)

    @step
    def plain(self):
        self.way = "plain"
        self.next(self.join)

    @step
    def join(self, inputs):
        self.ways = [each.way for each in inputs]
        assert len(inputs) == 3 and inputs.q.way == "q"
        self.next(self.end)

    @step
    def end(self):
        assert self.ways == ["x", "q", "plain"]


dag = SwitchInBranch.dag(schedule=None, environment="local")


if __name__ == "__main__":
    SwitchInBranch()
