"""A switch whose arms have different lengths, one of them none at all."""

from airflow_conda_flow import FlowSpec, Parameter, step


class Switch(FlowSpec):
    way = Parameter("way", default="long")

    @step
    def start(self):
        self.next(
            {"long": self.long, "short": self.short, "none": self.merge},  # three ways
            condition="way",
        )

    @step
    def long(self):
        self.seen = ["long"]
        self.next(self.long_again)

    @step
    def long_again(self):
        self.seen = self.seen + ["again"]
        self.next(self.merge)

    @step
    def short(self):
        self.seen = ["short"]
        self.next(self.merge)

    @step
    def merge(self):
        self.all = getattr(self, "seen", []) + ["merged"]
        self.next(self.end)

    @step
    def end(self):
        expected = {"long": ["long", "again"], "short": ["short"], "none": []}
        assert self.all == expected[self.way] + ["merged"]


dag = Switch.dag(schedule=None, environment="local")


if __name__ == "__main__":
    Switch()
