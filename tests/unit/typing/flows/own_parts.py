"""Bases, mixins, card types and mutators of one's own."""

from collections.abc import Callable, Generator, Iterator
from typing import Any

from typing_extensions import assert_type

from airflow_conda_flow import (
    Config,
    FlowMutator,
    FlowSpec,
    IncludeFile,
    MutableFlow,
    Parameter,
    Task,
    card,
    conda,
    current,
    retry,
    step,
    user_step_decorator,
)
from airflow_conda_flow.cards import Card, CardComponent, Markdown
from airflow_conda_flow.exception import MetaflowException


class Report(Card):
    """A type of card."""

    type = "report"
    ALLOW_USER_COMPONENTS = True

    def render(self, task: Task) -> str:
        """The page."""
        assert_type(self.options, dict[str, Any])
        return f"<h1>{task.pathspec}</h1>" + "".join(str(each) for each in self.components)


class Line(CardComponent):
    """A part of a card."""

    def __init__(self, text: str) -> None:
        self.text = text

    def render(self) -> str:
        """The text."""
        return self.text


@user_step_decorator
def logged(
    step_name: str, flow: FlowSpec, inputs: object
) -> Generator[Callable[[FlowSpec], None] | None, None, None]:
    """Takes the place of a step that fails."""
    try:
        yield None
    except ValueError as error:
        print(step_name, flow.anything, inputs, error)


class WithParameter(FlowMutator):
    """Adds a parameter."""

    def pre_mutate(self, mutable_flow: MutableFlow) -> None:
        """Read what is there."""
        mutable_flow.add_parameter("added", Parameter("added", default=1), overwrite=True)
        for _, parameter in mutable_flow.parameters:
            assert_type(parameter.name, str)
        assert_type(mutable_flow.configs, Iterator[tuple[str, Any]])
        mutable_flow.remove_parameter("old")


class Base(FlowSpec):
    """Members that several flows share."""

    rate = Parameter("rate", default=0.1)

    @retry(times=2)
    @step
    def start(self) -> None:
        """An artifact for the subclass."""
        self.rows = [1, 2]
        self.next(self.work)

    @step
    def work(self) -> None:
        """Replaced by the subclass."""
        self.next(self.end)

    @step
    def end(self) -> None:
        """Reads what no step of this class assigns."""
        print(self.total)


class Helper:
    """A mixin."""

    def doubled(self, number: int) -> int:
        """A method beside the steps."""
        return 2 * number


@WithParameter
class Derived(Helper, Base):
    """Inherits steps, parameters and artifacts."""

    template = IncludeFile("template", default="template.html")
    settings = Config("settings", default_value={"python": "3.11.7"})

    @conda(libraries={"pandas": "2.2.3"}, python=settings.python)
    @card(type="report")
    @logged
    @step
    def work(self) -> None:
        """Replaces the step of the base."""
        assert_type(self.rows, list[int])
        assert_type(self.rate, float)
        self.total = self.doubled(sum(self.rows)) * self.rate
        assert_type(self.total, float)
        if self.total < 0:
            raise MetaflowException("negative")
        current.card.append(Line(self.template.format(total=self.total)))
        current.card["report"] = [Markdown("# Done"), Line("end")]
        self.next(self.end)
