"""Steps, parameters and plain methods from a base class and a mixin; one step written anew."""

from airflow_conda_flow import FlowSpec, Parameter, step


class Start:
    @step
    def start(self):
        self.log = ["start of the mixin"]
        self.next(self.middle)


class Base(FlowSpec):
    word = Parameter("word", default="word")
    FACTOR = 3
    names = ["a", "b"]

    @property
    def doubled(self):
        return self.word * 2

    def helper(self, text):
        return text * self.FACTOR

    @staticmethod
    def shout(text):
        return text.upper()

    @step
    def middle(self):
        self.log.append("middle of the base")
        self.next(self.end)

    @step
    def end(self):
        self.log.append("end of the base")


class Inherited(Start, Base):
    @step
    def middle(self):
        self.log.append(self.helper("m") + self.doubled + self.shout("x") + "".join(self.names))
        self.next(self.last)

    @step
    def last(self):
        assert self.log == ["start of the mixin", "mmmwordwordXab"]
        self.next(self.end)


dag = Inherited.dag(schedule=None, environment="local")


if __name__ == "__main__":
    Inherited()
