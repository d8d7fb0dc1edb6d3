"""A switch in the arm of a switch; arms that end in different places, and values that are no texts."""

from airflow_conda_flow import FlowSpec, Parameter, step


class SwitchNested(FlowSpec):
    number = Parameter("number", default=1)

    @step
    def start(self):
        self.big = self.number > 10
        self.next({True: self.large, False: self.small}, condition="big")

    @step
    def large(self):
        self.way = "large"
        self.next(self.end)

    @step
    def small(self):
        self.rest = self.number % 3
        self.next({0: self.zero, 1: self.one, 2: self.meet}, condition="rest")

    @step
    def zero(self):
        self.way = "zero"
        self.next(self.end)

    @step
    def one(self):
        self.way = "one"
        self.next(self.meet)

    @step
    def meet(self):
        self.way = getattr(self, "way", "two") + "-met"
        self.next(self.end)

    @step
    def end(self):
        expected = {20: "large", 3: "zero", 1: "one-met", 2: "two-met"}
        assert self.way == expected[self.number]


dag = SwitchNested.dag(schedule=None, environment="local")


if __name__ == "__main__":
    SwitchNested()
