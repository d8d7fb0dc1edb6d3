"""Sources that are valid, though few write them."""

from airflow_conda_flow import FlowSpec, Parameter, resources, step

ITEMS = "items"


def logged(function):
    return function


class Settings(dict):
    foreach = "items"
    __getattr__ = dict.__getitem__


class UnusualSource(FlowSpec):
    """Has a docstring with self.next(self.nothing) in it."""

    word = Parameter("word", default="w")
    settings = Settings()

    @resources(cpu=1)
    @step
    def start(self):
        """self.next(self.wrong)"""
        text = f"{self.word} self.next(self.end) {1:>{2}}"  # self.next(self.comment)
        self.text = text
        self.items = [text] * 2
        nested = lambda: "self.next(self.nothing)"  # noqa: E731
        self.nested = nested()
        (
            self.next(
                self.body,
                # between the arguments
                foreach="items",
            )
        )
        # after the last statement

        # and after that

    @step
    @resources(cpu=1)
    def body(this):
        def inner(self):
            self.next(self.nothing)

        this.value = this.input
        this.next(
            this.join,
        )

    @step
    def join(self, others):
        self.values = [other.value for other in others]
        self.next(self.again)

    @logged
    @step
    def again(
        self,
    ):
        self.items = (n for n in [1, 2])
        self.next(self.other, foreach=self.settings.foreach)

    @step
    def other(self):
        self.items2 = iter({"k": "v"})
        self.next(self.deeper, foreach=ITEMS + "2")

    @step
    def deeper(self):
        self.got = self.input
        self.next(self.join2)

    @step
    def join2(self, inputs):
        self.got = [i.got for i in inputs]
        self.next(self.join3)

    @step
    def join3(self, inputs):
        self.all = [i.got for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert self.all == [["k"], ["k"]]

    @property
    def not_a_step(self):
        return self.next(self.end)


dag = UnusualSource.dag(schedule=None, environment="local")


if __name__ == "__main__":
    UnusualSource()
