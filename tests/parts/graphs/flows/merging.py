"""Joins pass artifacts on by merging, by name, and by setting them."""

from airflow_conda_flow import FlowSpec, step


class Merging(FlowSpec):
    @step
    def start(self):
        self.both, self.changed, self.dropped, self.none = [1], 0, "x", None
        self.next(self.a, self.b)

    @step
    def a(self):
        self.only_a, self.changed, self.same = "a", 1, (1, 2)
        self.next(self.join)

    @step
    def b(self):
        self.only_b, self.changed, self.same = {"b"}, 2, (1, 2)
        self.next(self.join)

    @step
    def join(self, inputs):
        for name in ("both", "changed", "same", "only_a"):
            assert not hasattr(self, name)
        try:
            self.merge_artifacts(inputs)
        except Exception as error:
            assert "changed" in str(error)
        else:
            raise AssertionError("merged what differs")
        try:
            self.merge_artifacts(inputs, include=["missing"])
        except Exception as error:
            assert "missing" in str(error)
        else:
            raise AssertionError("merged what is not there")
        assert not hasattr(self, "both")
        self.changed = max(each.changed for each in inputs)
        self.merge_artifacts(inputs, exclude=["dropped"])
        assert (self.both, self.same, self.only_a, self.none) == ([1], (1, 2), "a", None)
        self.items = [1, 2]
        self.next(self.c, foreach="items")

    @step
    def c(self):
        self.mine = self.input
        self.next(self.last_join)

    @step
    def last_join(self, inputs):
        self.mine = [each.mine for each in inputs]
        self.merge_artifacts(inputs, include=["both", "only_b", "mine"])
        self.next(self.end)

    @step
    def end(self):
        assert self.mine == [1, 2] and self.both == [1] and self.only_b == {"b"}
        for name in ("changed", "dropped", "same", "items"):
            assert not hasattr(self, name)


dag = Merging.dag(schedule=None, environment="local")


if __name__ == "__main__":
    Merging()
