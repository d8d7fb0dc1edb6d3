"""A flow whose steps run as toys, with everything that ends a task: splits, switches, failures, a gang."""

from toy_place import toy

from airflow_conda_flow import FlowSpec, Parameter, catch, current, parallel, retry, step


class ToyFlow(FlowSpec):
    """All shapes, on toys."""

    BASE = 3
    letters = Parameter("letters", default="a b c")

    @toy(colour="blue")
    @step
    def start(self):
        """Open a foreach on a toy."""
        print("start prints")
        self.items = self.letters.split()
        self.next(self.inner, foreach="items")

    @toy
    @step
    def inner(self):
        """Open another one in each split."""
        self.letter = self.input
        self.numbers = [self.BASE, self.BASE + 1]
        self.next(self.choose, foreach="numbers")

    @toy
    @retry(times=1, minutes_between_retries=0)
    @step
    def choose(self):
        """Fail once in one split, and take one of two ways."""
        if self.letter == "b" and self.input == self.BASE and current.retry_count == 0:
            raise ValueError("only the first time")
        self.way = "left" if self.input == self.BASE else "right"
        self.next({"left": self.left, "right": self.right}, condition="way")

    @toy
    @step
    def left(self):
        """One way."""
        self.word = self.letter + "L%d" % self.input
        self.next(self.met)

    @step
    def right(self):
        """The other way, on the worker."""
        self.word = self.letter + "R%d" % self.input
        self.next(self.met)

    @step
    def met(self):
        """Both ways meet."""
        self.next(self.gather)

    @step
    def gather(self, inputs):
        """Close the inner foreach."""
        self.words = [each.word for each in inputs]
        self.next(self.join)

    @step
    def join(self, inputs):
        """Close the outer foreach."""
        self.words = [word for each in inputs for word in each.words]
        self.next(self.broken)

    @catch(var="problem")
    @toy
    @step
    def broken(self):
        """End the container, so that the failure is caught from outside."""
        import os
        import signal

        os.killpg(os.getpgid(os.getppid()), signal.SIGKILL)
        self.next(self.work)

    @step
    def work(self):
        """Open a gang."""
        self.next(self.node, num_parallel=2)

    @toy
    @parallel
    @step
    def node(self):
        """One of two."""
        self.found = current.parallel.node_index
        self.next(self.last)

    @step
    def last(self, inputs):
        """Close the gang."""
        self.found = [each.found for each in inputs]
        self.merge_artifacts(inputs, exclude=["found"])
        self.next(self.end)

    @toy
    @step
    def end(self):
        """Show what was found."""
        print(self.words, self.found, self.problem.exception if self.problem else None)


if __name__ == "__main__":
    ToyFlow()
