"""Hello world in three steps, each in its own conda environment."""

from airflow_conda_flow import FlowSpec, Parameter, current, step


class LinearFlow(FlowSpec):
    """Says hello from the middle of three steps."""

    greeting = Parameter("greeting", default="Hello", help="the word to greet with")

    @step
    def start(self):
        """Decide whom to greet."""
        self.name = "world"
        self.next(self.hello)

    @step
    def hello(self):
        """Greet."""
        self.message = f"{self.greeting}, {self.name}!"
        print(self.message)
        self.next(self.end)

    @step
    def end(self):
        """Say what was said."""
        print(f"Step hello of run {current.run_id} said: {self.message}")


if __name__ == "__main__":
    LinearFlow()

dag = LinearFlow.dag(schedule=None, tags=["example"])
