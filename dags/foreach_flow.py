"""A task for each item of a list, two steps deep, and a join."""

from airflow_conda_flow import FlowSpec, Parameter, step


class ForeachFlow(FlowSpec):
    """Counts the letters of some words, each word in tasks of its own."""

    words = Parameter("words", default="red green blue", help="words, separated by spaces")

    @step
    def start(self):
        """Split the words."""
        self.items = self.words.split()
        self.next(self.count, foreach="items")

    @step
    def count(self):
        """Count the letters of one word."""
        self.word = self.input
        self.letters = len(self.word)
        self.next(self.shout)

    @step
    def shout(self):
        """Write it large."""
        self.line = f"{self.word.upper()} has {self.letters} letters"
        print(self.line)
        self.next(self.join)

    @step
    def join(self, inputs):
        """Add the counts."""
        self.lines = [each.line for each in inputs]
        self.total = sum(each.letters for each in inputs)
        self.next(self.end)

    @step
    def end(self):
        """Say the total."""
        print(f"{self.total} letters: {self.lines}")


if __name__ == "__main__":
    ForeachFlow()

dag = ForeachFlow.dag(schedule=None, tags=["example"])
