"""Splits, a foreach, a switch, joins and what they read."""

from typing import Any

from typing_extensions import assert_type

from airflow_conda_flow import FlowSpec, Inputs, Parameter, card, catch, current, parallel, step
from airflow_conda_flow.cards import Image, Markdown, ProgressBar, Table, ValueBox


class GraphFlow(FlowSpec):
    """Artifacts have the types with which they are assigned."""

    FACTOR = 3
    words = Parameter("words", default="red green", help="words, separated by spaces")
    limit = Parameter("limit", type=int, default=None)

    @step
    def start(self) -> None:
        """Split into branches."""
        assert_type(self.words, str)
        assert_type(self.limit, int | None)
        assert_type(self.index, int | None)
        assert_type(self.FACTOR, int)
        self.items = self.words.split()
        self.scores: dict[str, float] = {}
        self.next(self.count, self.colour)

    @step
    def count(self) -> None:
        """Start a foreach."""
        assert_type(self.items, list[str])
        self.next(self.measure, foreach="items")

    @card
    @step
    def measure(self) -> None:
        """Measure one item."""
        self.word: str = self.input
        self.length = len(self.word) * self.FACTOR
        assert_type(self.foreach_stack(), list[tuple[int, int, Any]])
        self.next(self.measured)

    @step
    def measured(self, inputs: "Inputs[GraphFlow]") -> None:
        """End the foreach."""
        assert_type(inputs[0].length, int)
        assert_type([each.length for each in inputs], list[int])
        self.total = sum(each.length for each in inputs)
        self.longest = max(inputs, key=lambda each: each.length).word
        self.count_of_inputs = len(inputs)
        self.merge_artifacts(inputs, exclude=["word", "length"])
        self.next(self.joined)

    @catch(var="failure")
    @step
    def colour(self) -> None:
        """The other branch."""
        self.best = {word: len(word) for word in self.items}
        self.next(self.joined)

    @step
    def joined(self, inputs: "Inputs[GraphFlow]") -> None:
        """Join the branches."""
        assert_type(inputs.measured.total, int)
        assert_type(inputs.colour.best, dict[str, int])
        self.merge_artifacts(inputs, include=["items"])
        self.total = inputs.measured.total
        self.choice = "small" if self.total < 100 else "large"
        self.next({"small": self.small, "large": self.large}, condition="choice")

    @step
    def small(self) -> None:
        """An arm of the switch."""
        self.next(self.gang, num_parallel=4)

    @step
    def large(self) -> None:
        """The other arm."""
        self.totals = [self.total]
        self.next(self.end)

    @parallel
    @step
    def gang(self) -> None:
        """A node."""
        assert_type(current.parallel.num_nodes, int)
        assert_type(current.parallel.main_ip, str)
        self.next(self.gathered)

    @step
    def gathered(self, inputs: list["GraphFlow"]) -> None:
        """Inputs as a list."""
        self.merge_artifacts(inputs)
        self.totals = [each.total for each in inputs]
        self.next(self.end)

    @card(type="blank", id="report")
    @card
    @step
    def end(self) -> None:
        """Parts of cards."""
        current.card.append(Markdown("# Done"))
        current.card["report"].append(Table([["a", 1]], headers=["name", "value"]))
        current.card["report"].extend([ValueBox("total", self.total), Image(b"")])
        bar = ProgressBar(max=10, label="rows")
        current.card.append(bar, id="bar")
        bar.update(5)
        current.card.refresh()
        assert_type(self.failure, Any)
        print(f"{self.total} letters: {self.totals}")


def in_a_dags_folder() -> None:
    """The last line of a flow file; not run here, where Airflow would have to be imported."""
    from airflow.sdk import DAG

    dag = GraphFlow.dag(schedule="@daily", tags=["example"], environment="local", decorators=["kubernetes"])
    assert_type(dag, DAG)


if __name__ == "__main__":
    GraphFlow()
