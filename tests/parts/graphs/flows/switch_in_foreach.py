"""Every split chooses its own arm; arms of different lengths, a switch within, an arm nobody takes."""

from airflow_conda_flow import FlowSpec, step


class SwitchInForeach(FlowSpec):
    @step
    def start(self):
        self.items = [0, 1, 2, 4]
        self.next(self.body, foreach="items")

    @step
    def body(self):
        self.kind = ["low", "mid", "high"][self.input // 2]
        self.next(
            {"low": self.low, "mid": self.mid, "high": self.meet, "never": self.never}, condition="kind"
        )

    @step
    def low(self):
        self.way = "low"
        self.next(self.low_again)

    @step
    def low_again(self):
        self.odd = bool(self.input % 2)
        self.next({True: self.odd_one, False: self.meet}, condition="odd")

    @step
    def odd_one(self):
        self.way += "-odd"
        self.next(self.meet)

    @step
    def mid(self):
        self.way = "mid"
        self.next(self.meet)

    @step
    def never(self):
        raise AssertionError("nobody chose this")
        self.next(self.never_again)

    @step
    def never_again(self):
        self.next(self.meet)

    @step
    def meet(self):
        self.way = getattr(self, "way", "high") + str(self.input)
        self.next(self.after)

    @step
    def after(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.ways = [each.way for each in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert self.ways == ["low0", "low-odd1", "mid2", "high4"]


dag = SwitchInForeach.dag(schedule=None, environment="local")


if __name__ == "__main__":
    SwitchInForeach()
