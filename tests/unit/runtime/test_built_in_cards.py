"""Card types of users that derive from the built-in ones, in a step process that has no renderer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_conda_flow.cards import BlankCard, DagComponent, DefaultCard, ErrorCard, Markdown, Section
from airflow_conda_flow.flow.cards import built_in, own_card
from airflow_conda_flow.flow.current_run import current
from airflow_conda_flow.runner.card_page import card_page
from airflow_conda_flow.runtime import own_cards
from airflow_conda_flow.runtime.step_cards import StepCard

TASK = SimpleNamespace(finished=True, id="start-0")
ATTRIBUTES = {"id": None, "options": {"title": "A title"}, "timeout": 45}


class Titled(BlankCard):
    """Puts a component before those of the step."""

    type = "titled"

    def render(self, task):
        """The task's id, and the components."""
        return super().render(task, components=[Markdown(f"of {task.id}")])


class Whole(DefaultCard):
    """The page of the type ``default``."""

    type = "whole"


class Inherits(DefaultCard):
    """Has no type of its own."""


@pytest.fixture
def content(monkeypatch):
    """Content of a card of a type that a step process sends, with a component of the step."""

    def no_renderer(_name):
        raise ImportError

    monkeypatch.setattr(built_in, "bound", no_renderer)
    monkeypatch.setattr(current, "_values", {"is_running_flow": True, "graph": {}})

    def make(kind):
        card = StepCard(None)
        card.append(Markdown("text"))
        return own_cards.content({**ATTRIBUTES, "type": kind}, card, None, TASK)

    return make


def test_the_runner_makes_the_page(content):
    """The process sends components and the kind of page, and the data update of a live card."""
    said, problem = content("titled")
    assert problem is None
    assert (said["html"], said["kind"], said["is_none"]) == (None, "blank", False)
    assert [each["text"] for each in said["parts"]] == ["# A title", "of start-0", "text"]
    assert '"reload_token": "final"' in said["data"]
    said, _ = content("whole")
    assert (said["kind"], [each["text"] for each in said["parts"]]) == ("default", ["text"])


def test_built_in_types_stay_what_they_are():
    """A class makes a type only by its own name for it."""
    assert {"titled", "whole"} <= own_card.OWN_TYPES.keys()
    assert not {"default", "blank", "error"} & own_card.OWN_TYPES.keys()
    assert Inherits.type == "default"


def test_an_error_and_the_steps_of_a_flow(content):
    """Both are parts of a page; what a flow's author wrote is escaped."""
    del content  # there is no renderer
    error = ErrorCard().render(TASK, stack_trace="a <trace>")
    assert error.parts == [{"kind": "error", "title": "The card was not made", "text": "a <trace>"}]
    graph = {"steps": {"start": {"type": "start", "next": ["a", "b"]}, "a": {}}, "file": "x.py"}
    section = Section("<title>", "below", contents=[DagComponent("Steps", data=graph), "**bold**"])
    record = SimpleNamespace(exception=None, task=SimpleNamespace(pathspec="F/1/start/start-0"))
    page = card_page("blank", [section.to_dict()], record, {})
    assert "<h2>&lt;title&gt;</h2>" in page
    assert "<td>start</td><td>start</td><td>a, b</td>" in page
    assert "<td>a</td><td></td><td></td>" in page
    assert "<strong>bold</strong>" in page
