"""``current.card``: which card is meant, and what it takes."""

from __future__ import annotations

import pytest

from airflow_conda_flow.flow.cards import own_card
from airflow_conda_flow.flow.cards.components import CardComponent, Markdown, Table
from airflow_conda_flow.flow.decorators.card import CardDecorator
from airflow_conda_flow.runtime.step_cards import StepCards


class Sent(list):
    """Stands for the connection to the runner."""

    send = list.append


class Line(CardComponent):
    """A component of a user's own, which renders what it was given."""

    def __init__(self, rendered):
        self.rendered = rendered

    def render(self):
        """The card's content, or the failure that it was given."""
        if isinstance(self.rendered, Exception):
            raise self.rendered
        return self.rendered


@pytest.fixture(autouse=True)
def own_types(monkeypatch):
    """Two types of a user's own: one that takes components, and one that does not."""
    types: dict = {}
    monkeypatch.setattr(own_card, "OWN_TYPES", types)
    for module in ("airflow_conda_flow.runtime.step_cards", "airflow_conda_flow.flow.cards.types"):
        monkeypatch.setattr(f"{module}.OWN_TYPES", types)
    for name, takes in (("takes", True), ("fixed", False)):
        types[name] = type(name, (), {"type": name, "ALLOW_USER_COMPONENTS": takes})


def make_cards(*decorators):
    """The cards of a step with these decorators."""
    attributes = [{**CardDecorator.defaults, **each} for each in decorators]
    return StepCards(attributes, Sent(), flow=None)


@pytest.mark.parametrize(
    ("decorators", "meant"),
    [
        ([{}], 0),
        ([{"id": "a"}], 0),
        ([{"type": "fixed"}], None),
        ([{"type": "nope"}], None),
        ([{"type": "html"}], None),
        ([{"type": "fixed"}, {"type": "takes"}], 1),
        ([{"id": "a"}, {}], 1),
        ([{}, {}], None),
        ([{"id": "a"}, {"id": "b"}], None),
        ([{}, {"id": "b", "customize": True}], 1),
        ([{}, {"id": "a", "customize": True}, {"id": "b", "customize": True}], 0),
        ([{"type": "fixed", "customize": True}, {}], 1),
    ],
)
def test_which_card_is_meant(decorators, meant, capsys):
    """The only card that takes components, that with customize, or the only one without an id; else a line says so."""
    cards = make_cards(*decorators)
    for _ in range(2):
        cards.append(Markdown("text"))
    assert [len(card) for card in cards._cards] == [
        2 * (number == meant) for number in range(len(decorators))
    ]
    assert capsys.readouterr().err.count("nothing was appended.") == (meant is None)


def test_a_card_by_id_or_type(capsys):
    """An id means its card, also of a type that takes none by itself; an unknown one is no error."""
    cards = make_cards({"type": "fixed", "id": "a"}, {"type": "takes", "id": "b"}, {"type": "takes"})
    cards["a"].append(Markdown("text"), id="x")
    cards["b"] = [Markdown("1"), Markdown("2")]
    cards["b"] = [*cards["b"], Markdown("3")]
    cards["nope"].append(Markdown("text"))
    assert [len(card) for card in cards._cards] == [1, 3, 0]
    assert cards.get(type="takes") == cards._cards[1:]
    assert cards.get() == cards.get("nope") == []
    assert [each.text for each in cards["a"]] == ["text"]
    assert capsys.readouterr().err.count("no card with the id 'nope'") == 1


def test_cards_with_the_same_id():
    """The id means the first that takes components."""
    cards = make_cards({"type": "fixed", "id": "a"}, {"id": "a"}, {"type": "takes", "id": "a"})
    cards["a"].append(Markdown("text"))
    assert [len(card) for card in cards._cards] == [0, 1, 0]


def test_components_by_id(capsys):
    """Each has an id; one with the same id takes its place, and a missing one may be updated."""
    (card,) = make_cards({})._cards
    card.append(Markdown("1"), id="x")
    card.append(Markdown("2"))
    card.append(Markdown("3"), id="x")
    assert [each.text for each in card.components] == ["3", "2"]
    assert card.components.keys()[0] == "x"
    assert "x" in card.components
    card.components["nope"].update("4")
    assert "no component 'nope'" in capsys.readouterr().err
    card.append(Table([["1"]]), id="table")
    card.components["table"].update([["2"]])
    assert "Table has no update(); it stays as it is on the card." in capsys.readouterr().err
    del card.components["table"]
    card.components["y"] = Markdown("5")
    del card.components["x"]
    assert [each.text for each in card.components.values()] == ["2", "5"]
    with pytest.raises(KeyError, match="has no component 'x'"):
        del card.components["x"]


@pytest.mark.parametrize("value", ["a text", 3, None, object(), Markdown])
def test_what_is_no_component(value, capsys):
    """It is left out, the log says so, and the step goes on."""
    cards = make_cards({})
    cards.append(value)
    cards.extend([Markdown("kept"), value])
    assert len(cards.components) == 1
    assert capsys.readouterr().err.count("A card takes components, such as Markdown('text');") == 2


@pytest.mark.parametrize("variable", ["METAFLOW_CARD_NO_WARNING"])
def test_without_warnings(variable, monkeypatch, capsys):
    """Metaflow's variable silences them."""
    monkeypatch.setenv(variable, "True")
    make_cards({"type": "nope"}).append(3)
    Table([["1"]]).update([["2"]])
    assert not capsys.readouterr().err


def test_components_of_a_card_of_ones_own(capsys):
    """Texts and plain data go to its class; what gives neither is left out with a line."""
    (card,) = make_cards({"type": "takes"})._cards
    wrong = [3, {"a": object()}, ValueError("no text")]
    card.extend([Line("text"), *map(Line, wrong), Line({"a": [1]})])
    assert card.components.rendered() == ["text", {"a": [1]}]
    assert capsys.readouterr().err.count("A Line is left out of the card: ") == 3


def test_data_of_a_live_card(capsys):
    """Data that JSON has, with the components that change; else none of it, and a line."""
    (card,) = make_cards({})._cards
    card.append(Markdown("text"), id="live")
    card.append(Line("fixed"))
    card.take({"a": 1})
    first, second = (card.live_data("render_runtime", False) for _ in range(2))
    assert first["user"] == {"a": 1}
    assert list(first["components"]) == ["live"]
    assert (first["render_seq"], second["render_seq"]) == (1, 2)
    assert card.live_data("render", True)["render_seq"] == "final"
    card.take({"a": object()})
    assert card.live_data("refresh", False)["user"] == {}
    assert "refresh() takes data that JSON has" in capsys.readouterr().err
